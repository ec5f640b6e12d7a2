package network

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"rkt/internal/errhint"
	"rkt/internal/linux"
	"rkt/internal/linux/linuxtest"
	"rkt/internal/network/networktest"
	"rkt/internal/stage1"
)

func (h *host) options(list string) Options {
	h.Helper()
	requests, err := stage1.ParseNetRequests(list)
	if err != nil {
		h.Fatal(err)
	}
	return Options{UUID: testUUID, LocalConfig: h.configDir(), Plugins: []string{h.plugins}, Requests: requests}
}

func (h *host) configDir() string {
	dir, err := filepath.Abs("config")
	if err != nil {
		h.Fatal(err)
	}
	return dir
}

// configure writes a file of net.d.
func (h *host) configure(name, text string) {
	h.Helper()
	if err := os.MkdirAll("config/net.d", 0o755); err != nil {
		h.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("config/net.d", name), []byte(text), 0o644); err != nil {
		h.Fatal(err)
	}
}

func (h *host) setup(o Options) *Network {
	h.Helper()
	n, err := Setup(h.Context(), o)
	if err != nil {
		h.Fatal(err)
	}
	return n
}

func (h *host) teardown() {
	h.Helper()
	if err := Teardown(h.Context(), testUUID, nil); err != nil {
		h.Fatal(err)
	}
}

// TestDefaultNetwork shows what another kernel is told to be on the default
// network: a host address, the gateway on the link, all else over it.
func TestDefaultNetwork(t *testing.T) {
	h := needHost(t)
	n := h.setup(h.options("default:IP=172.16.28.5"))
	defer n.Close()
	if len(n.Interfaces) != 1 {
		t.Fatalf("%d interfaces", len(n.Interfaces))
	}
	eth0 := n.Interfaces[0]
	prefix := netip.MustParsePrefix
	gateway := netip.MustParseAddr("172.16.28.1")
	if diff := cmp.Diff([]netip.Prefix{prefix("172.16.28.5/32")}, eth0.Addresses, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	routes := make(map[netip.Prefix]Route)
	for _, r := range eth0.Routes {
		routes[r.Destination] = r
	}
	if r := routes[prefix("172.16.28.1/32")]; r.Gateway.IsValid() || len(routes) != 3 {
		t.Errorf("the gateway is not on the link: %+v", eth0.Routes)
	}
	for _, over := range []string{"0.0.0.0/0", "172.16.28.0/24"} {
		if routes[prefix(over)].Gateway != gateway {
			t.Errorf("%s is not reached over the gateway: %+v", over, eth0.Routes)
		}
	}
	if eth0.MTU != 1500 || len(eth0.MAC) != len("aa:bb:cc:dd:ee:ff") {
		t.Errorf("%+v", eth0)
	}
	h.reaches("172.16.28.5:1")
	info, err := os.ReadFile(stage1.NetInfoFile)
	if err != nil || !strings.Contains(string(info), `"ip":"172.16.28.5"`) {
		t.Errorf("%s says %s (%v)", stage1.NetInfoFile, info, err)
	}
	h.teardown()
	h.clean()
	h.teardown() // again is no error
}

// reaches fails the test unless somebody is at an address: that refuses the
// connection.
func (h *host) reaches(address string) {
	h.Helper()
	conn, err := (&net.Dialer{Timeout: time.Minute}).DialContext(h.Context(), "tcp", address)
	if err == nil {
		conn.Close()
	} else if !errors.Is(err, unix.ECONNREFUSED) {
		h.Error(err)
	}
}

// TestHostsServices: a pod of a built-in network gets answers, and can't begin
// anything with the host. What was dropped is counted there.
func TestHostsServices(t *testing.T) {
	h := needHost(t)
	n := h.setup(h.options("default"))
	defer n.Close()
	listener, err := net.Listen("tcp", ":18099")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, address := range []string{"172.16.28.1:18099", "10.9.9.1:18099", "172.16.28.1:1"} {
		before := h.dropped()
		if err := fromPod(address); !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINPROGRESS) {
			t.Errorf("%s: %v, want silence", address, err)
		}
		if after := h.dropped(); after <= before {
			t.Errorf("%s: %d packets were dropped, then %d", address, before, after)
		}
	}
	// From another's address, and to where clouds have their metadata.
	h.inPod("ip", "address", "add", "172.16.28.99/32", "dev", "eth0")
	for _, test := range []struct{ from, to string }{{"172.16.28.99", "10.9.9.2:1"}, {"0.0.0.0", "169.254.169.254:80"}} {
		before := h.dropped()
		_ = fromPodAs(test.from, test.to)
		if after := h.dropped(); after <= before {
			t.Errorf("%v: %d packets were dropped, then %d", test, before, after)
		}
	}
	if err := fromPod("10.9.9.2:1"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("the world: %v", err)
	}
	h.teardown()
	listener.Close()
	h.clean()
}

func (h *host) inPod(args ...string) {
	h.Helper()
	h.output("nsenter", append([]string{"--net=" + namespaceFile}, args...)...)
}

// fromPod tries to connect for a second.
func fromPod(address string) error { return fromPodAs("0.0.0.0", address) }

func fromPodAs(source, address string) error {
	to := netip.MustParseAddrPort(address)
	return linux.InNetNamespace(namespaceFile, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 1}); err != nil {
			return err
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: netip.MustParseAddr(source).As4()}); err != nil {
			return err
		}
		return unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	})
}

// dropped sums what rules of our chains dropped.
func (h *host) dropped() (sum int) {
	h.Helper()
	for line := range strings.Lines(h.output("iptables", "-L", "-v", "-n", "-x") + h.output("iptables", "-t", "raw", "-L", "-v", "-n", "-x")) {
		fields := strings.Fields(line)
		if len(fields) > 2 && fields[2] == "DROP" {
			n, err := strconv.Atoi(fields[0])
			if err != nil {
				h.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

// TestTeardownWithoutNamespace: plugins find their rules by the addresses in
// the namespace, so without it they would leave the rules behind.
func TestTeardownWithoutNamespace(t *testing.T) {
	h := needHost(t)
	o := h.options("default")
	o.Ports = []PortMapping{{HostPort: 8080, PodPort: 80, Protocol: "tcp"}}
	n := h.setup(o)
	n.Close()
	if !strings.Contains(h.state(), testUUID) {
		t.Fatal("no rule names the pod: the test shows nothing")
	}
	if err := unix.Unmount(namespaceFile, 0); err != nil {
		t.Fatal(err)
	}
	h.teardown()
	h.clean()
}

// TestTeardownWithChangedConfiguration removes what the old configuration made.
func TestTeardownWithChangedConfiguration(t *testing.T) {
	h := needHost(t)
	h.configure("10-mine.conf", `{"name":"mine","type":"ptp","ipMasq":true,
		"ipam":{"type":"host-local","subnet":"10.77.0.0/24","routes":[{"dst":"0.0.0.0/0"}]}}`)
	n := h.setup(h.options("mine"))
	n.Close()
	h.configure("10-mine.conf", `{"name":"mine","type":"bridge","ipam":{"type":"static"}}`)
	h.teardown()
	h.clean()
}

// TestSeveralNetworks numbers interfaces by the names of files, and takes
// over what plugins of all kinds leave.
func TestSeveralNetworks(t *testing.T) {
	h := needHost(t)
	h.configure("20-b.conflist", `{"name":"second","cniVersion":"1.0.0","plugins":[
		{"type":"bridge","bridge":"br-test","isGateway":true,"ipam":{"type":"host-local",
			"ranges":[[{"subnet":"10.78.0.0/24"}],[{"subnet":"fd00:78::/64"}]],"routes":[{"dst":"10.99.0.0/16"}]}},
		{"type":"tuning","mtu":1400,"sysctl":{"net.core.somaxconn":"500","net.ipv4.conf.IFNAME.arp_filter":"1"}}]}`)
	h.configure("10-a.conf", `{"name":"first","type":"macvlan","master":"uplink",
		"ipam":{"type":"static","addresses":[{"address":"10.9.9.7/24"}]},"dns":{"nameservers":["10.9.9.53"]}}`)
	n := h.setup(h.options("second,first"))
	n.Close()
	if len(n.Interfaces) != 2 || n.Interfaces[0].Addresses[0].String() != "10.9.9.7/24" {
		t.Fatalf("%+v", n.Interfaces)
	}
	eth1 := n.Interfaces[1]
	if eth1.MTU != 1400 || len(eth1.Addresses) != 2 {
		t.Errorf("%+v", eth1)
	}
	want := map[string]string{"net/core/somaxconn": "500", "net/ipv4/conf/eth1/arp_filter": "1"}
	if diff := cmp.Diff(want, n.Sysctls); diff != "" {
		t.Error(diff)
	}
	if n.DNS.Network != "first" || n.DNS.Nameservers[0] != "10.9.9.53" {
		t.Errorf("%+v", n.DNS)
	}
	h.teardown()
	h.output("ip", "link", "del", "br-test") // a bridge stays for the next pod
	h.clean()
}

func TestForwardedPort(t *testing.T) {
	h := needHost(t)
	o := h.options("default")
	o.Ports = []PortMapping{{HostPort: 8081, PodPort: 80, Protocol: "tcp"}}
	n := h.setup(o)
	defer n.Close()
	t.Run("is kept from others", func(t *testing.T) {
		_, err := reserve(o.Ports)
		if err == nil || !strings.Contains(err.Error(), "port tcp-0.0.0.0:8081 is taken") {
			t.Errorf("got %v", err)
		}
	})
	rules := h.output("iptables-save", "-t", "nat")
	if !strings.Contains(rules, "--dport 8081") {
		t.Errorf("no rule for the port in\n%s", rules)
	}
	h.teardown()
	h.clean()
}

// TestSetupRefuses leaves nothing behind, whatever was wrong.
func TestSetupRefuses(t *testing.T) {
	plugin := func(script string) string {
		return "#!/bin/sh\ncase $CNI_COMMAND in VERSION) echo '{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"1.0.0\"]}';; " +
			"ADD) " + script + ";; esac\n"
	}
	for name, test := range map[string]struct{ net, config, plugin, want string }{
		"unknown":       {net: "nowhere,default", want: `networks not found: nowhere`},
		"broken":        {net: "x", config: `{"name":`, want: "10-x.conf: unexpected end of JSON input"},
		"no such plug":  {net: "x", config: `{"name":"x","type":"nothing"}`, want: `could not find plugin "nothing"`},
		"fails":         {net: "x", config: `{"name":"x","type":"mine"}`, plugin: plugin(`echo '{"code":11,"msg":"the cable is cut"}'; exit 1`), want: "the cable is cut"},
		"prints":        {net: "x", config: `{"name":"x","type":"mine"}`, plugin: plugin(`echo hello`), want: "invalid character 'h'"},
		"floods":        {net: "x", config: `{"name":"x","type":"mine"}`, plugin: plugin(`head -c 2000000 /dev/zero`), want: "said more than 1048576 bytes"},
		"hangs":         {net: "x", config: `{"name":"x","type":"mine"}`, plugin: plugin(`sleep 1000 & sleep 1000`), want: "plugin mine: no answer within"},
		"nothing made":  {net: "x", config: `{"name":"x","type":"mine"}`, plugin: plugin(`echo '{"cniVersion":"1.0.0"}'`), want: "eth0: Link not found"},
		"address taken": {net: "default:IP=172.16.29.5", want: "172.16.29.5"},
		"its own net":   {net: "x", config: `{"name":"none","type":"ptp"}`, want: `name "none" has a meaning of its own`},
	} {
		t.Run(name, func(t *testing.T) {
			h := needHost(t)
			if test.config != "" {
				h.configure("10-x.conf", test.config)
			}
			o := h.options(test.net)
			o.timeout = pluginTimeout
			if name == "hangs" {
				o.timeout = time.Second
			}
			if test.plugin != "" {
				dir := t.TempDir()
				if err := linuxtest.WriteProgram(filepath.Join(dir, "mine"), []byte(test.plugin)); err != nil {
					t.Fatal(err)
				}
				o.Plugins = append(o.Plugins, dir)
			}
			_, err := Setup(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			h.clean()
		})
	}
}

// TestAddressTaken: two pods never share an address, and the one that comes too
// late leaves the other's.
func TestAddressTaken(t *testing.T) {
	h := needHost(t)
	o := h.options("default:IP=172.16.28.5")
	n := h.setup(o)
	defer n.Close()
	before := h.state()
	first, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	o.UUID = "00000000-a507-4694-aabf-5bd95ce3f3d7"
	if _, err := Setup(t.Context(), o); err == nil || !strings.Contains(err.Error(), "172.16.28.5 is not available") {
		t.Errorf("got %v", err)
	}
	if now := h.state(); now != before {
		t.Errorf("then there is\n%s\n--- before:\n%s", now, before)
	}
	t.Chdir(first)
	h.reaches("172.16.28.5:1")
	h.teardown()
	h.clean()
}

// TestNoFilter: without a program to filter packets there is no default
// network, which says so, and nothing is left.
func TestNoFilter(t *testing.T) {
	h := needHost(t)
	networktest.HideFilters(t)
	_, err := Setup(t.Context(), h.options("default"))
	if err == nil || !strings.Contains(err.Error(), "iptables") || !strings.Contains(errhint.Of(err), "--net=none") {
		t.Errorf("got %v, hint %q", err, errhint.Of(err))
	}
	for _, name := range []string{namespaceFile, innerFile, recordDir} {
		if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there (%v)", name, err)
		}
	}
}

// TestHangingPlugin is killed with all that it started, and holds nobody up.
func TestHangingPlugin(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slow")
	if err := linuxtest.WriteProgram(path, []byte("#!/bin/sh\nsleep 1000 & sleep 1000\n")); err != nil {
		t.Fatal(err)
	}
	r := &runner{timeout: 100 * time.Millisecond}
	_, err := r.ExecPlugin(t.Context(), path, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "plugin slow: no answer within 100ms") {
		t.Errorf("got %v", err)
	}
}
