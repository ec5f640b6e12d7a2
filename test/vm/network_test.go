package vm

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rkt/internal/linux"
	"rkt/internal/network/networktest"
)

// needNetwork returns a host whose pods can be on networks, and what must be
// the same afterwards. Tests that share the host's network are not parallel.
func needNetwork(t *testing.T) (h *host, before string) {
	t.Helper()
	if networktest.Dir() == "" {
		t.Fatal("must run as root")
	}
	for _, program := range []string{"ip", "iptables-save"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatal(err)
		}
	}
	h = newHost(t)
	return h, h.networkState()
}

// networkState is all that pods may leave on a host: links, rules, leases. The
// chains that portmap makes once for all pods are no pod's.
func (h *host) networkState() string {
	h.Helper()
	var kept []string
	leases, _ := filepath.Glob("/var/lib/cni/networks/*/[0-9a-f]*")
	links, err := exec.Command("ip", "-o", "link").Output()
	if err != nil {
		h.Fatal(err)
	}
	var rules []byte
	for _, command := range []string{"iptables-save", "ip6tables-save"} {
		some, err := exec.Command(command).Output()
		if err != nil {
			h.Fatal(err)
		}
		rules = append(rules, some...)
	}
	for line := range strings.Lines(string(rules)) {
		ours := strings.Contains(line, "RKT-") || strings.Contains(line, "CNI-")
		if (ours || strings.HasPrefix(line, "-A")) && !strings.Contains(line, "CNI-HOSTPORT-") {
			line, _, _ = strings.Cut(line, "[") // counters
			kept = append(kept, strings.TrimSpace(line))
		}
	}
	for line := range strings.Lines(string(links)) {
		kept = append(kept, strings.TrimSpace(line))
	}
	kept = append(kept, leases...)
	slices.Sort(kept)
	return strings.Join(slices.Compact(kept), "\n")
}

// expectNetworkState fails the test unless pods have left nothing.
func (h *host) expectNetworkState(before string) {
	h.Helper()
	h.gc()
	if now := h.networkState(); now != before {
		h.Errorf("left on the host:\n%s\n--- before:\n%s", now, before)
	}
}

// address returns the pod's on a network, as rkt status says it.
func (p *pod) address(network string) string {
	p.h.Helper()
	text := p.h.status(p.uuid())["networks"]
	for word := range strings.SplitSeq(text, ", ") {
		if ip, ok := strings.CutPrefix(word, network+":ip4="); ok {
			return ip
		}
	}
	p.h.Fatalf("no address on %s: networks=%s", network, text)
	return ""
}

// expectNetworkInJSON fails the test unless programs read of the pod's only network
// what people do.
func (p *pod) expectNetworkInJSON(network, ip string) {
	p.h.Helper()
	type listed struct {
		UUID     string              `json:"name"`
		Networks []map[string]string `json:"networks"`
	}
	var one listed
	var all []listed
	for command, into := range map[string]any{"list": &all, "status": &one} {
		args := []string{command, "--format=json"}
		if command == "status" {
			args = append(args, p.uuid())
		}
		if err := json.Unmarshal([]byte(p.h.must(args...)), into); err != nil {
			p.h.Fatalf("rkt %s: %v", command, err)
		}
	}
	all = slices.DeleteFunc(all, func(l listed) bool { return l.UUID != p.uuid() })
	for _, l := range append(all, one) {
		if len(l.Networks) != 1 {
			p.h.Fatalf("networks: %v", l.Networks)
		}
		n := l.Networks[0]
		if n["netName"] != network || n["ip"] != ip || n["ifName"] == "" || net.ParseIP(n["mask"]) == nil {
			p.h.Errorf("network: %v, want %s with %s", n, network, ip)
		}
	}
	if len(all) != 1 {
		p.h.Errorf("rkt list shows it %d times", len(all))
	}
}

// ask connects and returns what the probe at the other end sees, or an error's
// text.
func ask(address string) string {
	conn, err := net.DialTimeout("tcp", address, time.Minute)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(line)
}

// fromOutside asks from another machine of the host's network, and may say
// something first.
func fromOutside(t *testing.T, address string, words ...string) (answer string) {
	t.Helper()
	return fromOutsideWithin(t, time.Minute, address, words...)
}

// silentOutside does the same where nobody should answer, and does not wait long.
func silentOutside(t *testing.T, address string, words ...string) (answer string) {
	t.Helper()
	return fromOutsideWithin(t, 3*time.Second, address, words...)
}

func fromOutsideWithin(t *testing.T, limit time.Duration, address string, words ...string) (answer string) {
	t.Helper()
	err := linux.InNetNamespace(networktest.Outside(), func() error {
		// One address, so that no other goroutine dials.
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), "outside")
		defer f.Close()
		to, err := net.ResolveTCPAddr("tcp4", address)
		if err != nil {
			return err
		}
		patient := syscall.NsecToTimeval(int64(limit))
		if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &patient); err != nil {
			return err
		}
		if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}); err != nil {
			answer = err.Error()
			return nil
		}
		if _, err := f.WriteString(strings.Join(words, "")); err != nil {
			return err
		}
		b := make([]byte, 100)
		n, err := syscall.Read(fd, b)
		answer = strings.TrimSpace(string(b[:max(n, 0)]))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestDefaultNetwork reaches a pod on all ways: at its own address, over a
// published port from everywhere, its own included, and from another pod.
func TestDefaultNetwork(t *testing.T) {
	h, before := needNetwork(t)
	server := h.start("--net=default", "--port=18080:80", probeID(t), "--", "serve", ":80")
	server.out.await(t, "ready")
	ip := server.address("default")
	server.expectNetworkInJSON("default", ip)
	published := networktest.HostAddress + ":18080"
	for _, test := range []struct{ name, got, want string }{
		{"pod's address from the host", ask(ip + ":80"), "172.16.28.1"},
		{"published port from the host", ask(published), networktest.HostAddress},
		{"published port on loop-back", ask("127.0.0.1:18080"), "172.16.28.1"},
		{"published port from outside", fromOutside(t, published), networktest.OutsideAddress},
	} {
		if test.got != test.want {
			t.Errorf("%s: the pod sees %q, want %q", test.name, test.got, test.want)
		}
	}
	client := h.start("--net=default", probeID(t), "--", "reach", ip+":80", published, networktest.OutsideAddress+":1", "-silent", "172.16.28.1:1")
	said := client.expect(0).Stdout
	for _, want := range []string{
		ip + ":80 sees " + client.address("default"),
		published + " sees ",
		"172.16.28.1:1 dial tcp 172.16.28.1:1: i/o timeout", // the host's services are not the pod's
		networktest.OutsideAddress + ":1 dial tcp " + networktest.OutsideAddress + ":1: connect: connection refused",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("another pod does not say %q but\n%s", want, said)
		}
	}
	server.signal(syscall.SIGTERM)
	server.expect(128 + int(syscall.SIGTERM))
	h.expectNetworkState(before)
}

// TestOwnPublishedPort: a pod that knows only its public address works, too.
func TestOwnPublishedPort(t *testing.T) {
	h, before := needNetwork(t)
	p := h.start("--net=default", "--port=18081:80", probeID(t), "--name=server", "--", "serve", ":80", "---",
		probeID(t), "--name=client", "--", "connect", networktest.HostAddress+":18081", "x")
	p.out.await(t, "answer 172.16.28.1")
	p.signal(syscall.SIGTERM)
	p.wait()
	h.expectNetworkState(before)
}

// TestRestrictedNetwork reaches the host and other pods, and nobody outside.
func TestRestrictedNetwork(t *testing.T) {
	h, before := needNetwork(t)
	server := h.start("--net=default-restricted", "--port=18082:80", probeID(t), "--", "serve", ":80")
	server.out.await(t, "ready")
	if got := ask(server.address("default-restricted") + ":80"); got != "172.31.0.1" {
		t.Errorf("the pod sees %q", got)
	}
	if got := silentOutside(t, networktest.HostAddress+":18082"); got == networktest.OutsideAddress {
		t.Errorf("the pod is reached from outside")
	}
	client := h.start("--net=default-restricted", probeID(t), "--", "reach",
		server.address("default-restricted")+":80", networktest.OutsideAddress+":1")
	said := client.expect(0).Stdout
	for _, want := range []string{":80 sees 172.31.0.", "connect: network is unreachable"} {
		if !strings.Contains(said, want) {
			t.Errorf("another pod does not say %q but\n%s", want, said)
		}
	}
	server.signal(syscall.SIGTERM)
	server.expect(128 + int(syscall.SIGTERM))
	h.expectNetworkState(before)
}

// configureNetwork writes a file of net.d.
func (h *host) configureNetwork(name, text string) {
	h.Helper()
	dir := filepath.Join(h.config(), "net.d")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		h.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		h.Fatal(err)
	}
}

// TestFourNetworks puts a pod on networks of all kinds, more than the small
// machine has room for, and finds inside what the plugins made.
func TestFourNetworks(t *testing.T) {
	h, before := needNetwork(t)
	h.configureNetwork("10-bridge.conf", `{"name":"bridge","type":"bridge","bridge":"br-vm","isGateway":true,"ipMasq":true,
		"ipam":{"type":"host-local","subnet":"10.81.0.0/24"},"dns":{"nameservers":["10.81.0.53"],"search":["example.com"]}}`)
	h.configureNetwork("20-macvlan.conf", `{"name":"macvlan","type":"macvlan","master":"uplink",
		"ipam":{"type":"static","addresses":[{"address":"10.9.9.20/24"}]}}`)
	h.configureNetwork("30-dual.conflist", `{"name":"dual","cniVersion":"1.0.0","plugins":[
		{"type":"bridge","bridge":"br-dual","isGateway":true,"ipam":{"type":"host-local",
			"ranges":[[{"subnet":"10.82.0.0/24"}],[{"subnet":"fd00:82::/64"}]]}},
		{"type":"tuning","mtu":1400,"sysctl":{"net.core.somaxconn":"500"}}]}`)
	p := h.start("--net=bridge,macvlan,dual,default-restricted", "--hostname=four", probeID(t), "--name=links", "--", "links", "---",
		probeID(t), "--name=server", "--", "serve", ":80")
	p.out.await(t, "ready")
	p.out.await(t, "somaxconn: ")
	for _, address := range []string{"10.81.0.2:80", "[fd00:82::2]:80", p.address("default-restricted") + ":80"} {
		if got := ask(address); net.ParseIP(got) == nil {
			t.Errorf("%s: %s", address, got)
		}
	}
	if got := fromOutside(t, "10.9.9.20:80"); got != networktest.OutsideAddress {
		t.Errorf("on macvlan the pod sees %q", got)
	}
	said := p.out.String()
	for _, want := range []string{
		"eth0 1500 [10.81.0.2/24 ", "eth1 1500 [10.9.9.20/24 ", "eth2 1400 [10.82.0.2/24 fd00:82::2/64 ", "eth3 1500 [172.31.0.",
		"/etc/resolv.conf: nameserver 10.81.0.53", "/etc/resolv.conf: search example.com",
		"/etc/hosts: 127.0.0.1\tlocalhost four", "somaxconn: 500",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("inside there is no %q:\n%s", want, said)
		}
	}
	p.signal(syscall.SIGTERM)
	p.wait()
	h.gc()
	for _, bridge := range []string{"br-vm", "br-dual"} { // they stay for the next pod
		if out, err := exec.Command("ip", "link", "del", bridge).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
	h.expectNetworkState(before)
}

// TestNetworkRefused starts nothing and leaves nothing.
func TestNetworkRefused(t *testing.T) {
	h, before := needNetwork(t)
	h.configureNetwork("10-ip.conf", `{"name":"ip","type":"ipvlan","master":"uplink","ipam":{"type":"static"}}`)
	for name, does := range map[string]string{
		"fails": `echo '{"code":11,"msg":"the cable is cut"}'; exit 1`, "rubbish": `echo hello`,
	} {
		h.configureNetwork(name+".conf", `{"name":"`+name+`","cniVersion":"1.0.0","type":"`+name+`"}`)
		h.configureNetwork(name, "#!/bin/sh\n[ $CNI_COMMAND != ADD ] || { "+does+"; }\n")
		if err := os.Chmod(filepath.Join(h.config(), "net.d", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	taken, err := net.Listen("tcp", ":18083")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, test := range []struct{ want, net, port string }{
		{"networks not found: nowhere", "--net=nowhere", ""},
		{"flavor kvm requires private network configuration (try --net)", "--net=host", ""},
		{`network "ip": plugin "ipvlan" does not work with a virtual machine`, "--net=ip", ""},
		{"port tcp-0.0.0.0:18083 is taken", "--net=default", "--port=18083:80"},
		{`port name "http" could not be found in any apps`, "--net=default", "--port=http:80"},
		{"plugin fails: the cable is cut", "--net=fails", ""},
		{"invalid character 'h'", "--net=rubbish", ""},
		{"failed to allocate all requested IPs: 172.16.29.9", "--net=default:IP=172.16.29.9", ""},
	} {
		args := []string{"run", test.net, probeID(t)}
		if test.port != "" {
			args = slices.Insert(args, 2, test.port)
		}
		h.refuseNetwork(before, test.want, args...)
	}
}

// TestHangingPlugin: a pod whose plugin never answers is not started, and says so
// when the plugin has had its time. The plugin ends, and what came before it is
// undone. It takes the minute that plugins have.
func TestHangingPlugin(t *testing.T) {
	h, before := needNetwork(t)
	pid := filepath.Join(t.TempDir(), "pid")
	h.configureNetwork("hangs", "#!/bin/sh\n[ $CNI_COMMAND != ADD ] || { echo $$ >"+pid+"; exec sleep infinity; }\n")
	if err := os.Chmod(filepath.Join(h.config(), "net.d", "hangs"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.configureNetwork("10-hangs.conflist", `{"name":"slow","cniVersion":"1.0.0","plugins":[
		{"type":"ptp","ipMasq":true,"ipam":{"type":"host-local","subnet":"10.83.0.0/24"}},{"type":"hangs"}]}`)
	h.refuseNetwork(before, `network "slow": plugin type="hangs" failed (add): plugin hangs: no answer within 1m0s`, "run", "--net=slow", probeID(t))
	b, err := os.ReadFile(pid)
	if err != nil {
		t.Fatalf("the plugin never ran: %v", err)
	}
	// Its number may be another's by now.
	if words, _ := os.ReadFile("/proc/" + strings.TrimSpace(string(b)) + "/cmdline"); strings.Contains(string(words), "infinity") {
		t.Errorf("the plugin still runs: %q", words)
	}
}

// refuseNetwork runs a command that must fail with the words and leave nothing.
func (h *host) refuseNetwork(before, words string, args ...string) {
	h.Helper()
	r := h.rkt(args...)
	if r.Status != 254 || r.Stdout != "" || !strings.Contains(r.Stderr, words) {
		h.Errorf("%v: status %d, want 254 and %q in\n%s%s", args, r.Status, words, r.Stdout, r.Stderr)
	}
	h.expectNetworkState(before)
}

// TestNetworkOutOfReach: what a pod's network needs is there, but not for this
// pod. None is started, and those that run are not disturbed.
func TestNetworkOutOfReach(t *testing.T) {
	h, empty := needNetwork(t)
	server := h.startIn(nspawn(), "--net=default:IP=172.16.28.77", "--port=18084:80", probeID(t), "--", "serve", ":80")
	server.out.await(t, "ready")
	before := h.networkState()
	h.refuseNetwork(before, "172.16.28.77 is not available", "run", "--net=default:IP=172.16.28.77", probeID(t))
	h.refuseNetwork(before, "port tcp-0.0.0.0:18084 is taken", "run", "--net=default", "--port=18084:80", probeID(t))
	h.configureNetwork("10-broken.conf", `{"name":`)
	h.refuseNetwork(before, "10-broken.conf: unexpected end of JSON input", "run", "--net=default", probeID(t))
	if err := os.Remove(filepath.Join(h.config(), "net.d", "10-broken.conf")); err != nil {
		t.Fatal(err)
	}
	if got := ask("172.16.28.77:80"); got != "172.16.28.1" {
		t.Errorf("the pod that has the address sees %q", got)
	}
	server.signal(syscall.SIGTERM)
	server.expect(128 + int(syscall.SIGTERM))
	h.expectNetworkState(empty)

	// Nor is there a default network on a host that can't filter.
	restore := networktest.HideFilters(t)
	r := h.rkt("run", "--net=default", probeID(t))
	if r.Status != 254 || !strings.Contains(r.Stderr, "iptables") || !strings.Contains(r.Stderr, "hint: ") || !strings.Contains(r.Stderr, "--net=none") {
		t.Errorf("without a filter: status %d\n%s", r.Status, r.Stderr)
	}
	restore()
	h.expectNetworkState(empty)
}

// containerFile is the stage1 image of containers, beside rkt.
const containerFile = "stage1-coreos.aci"

// TestManyPodsAtOnce starts containers and machines together on one network:
// as many addresses, all are reached from one of them, and nothing is left.
func TestManyPodsAtOnce(t *testing.T) {
	h, before := needNetwork(t)
	containers, machines := 20, 6
	if *soak {
		machines = 20
	}
	var pods []*pod
	for n := range containers + machines {
		stage1 := containerFile
		if n >= containers {
			stage1 = stage1File
		}
		pods = append(pods, h.start("--stage1-path="+filepath.Join(h.build.bin, stage1), "--insecure-options=stage1",
			"--net=default", probeID(t), "--cpu=1", "--memory=64Mi", "--", "serve", ":80"))
	}
	seen := make(map[string]bool)
	reach := []string{
		"--stage1-path=" + filepath.Join(h.build.bin, containerFile), "--insecure-options=stage1",
		"--net=default", probeID(t), "--", "reach",
	}
	for _, p := range pods {
		p.out.await(t, "ready")
		ip := p.address("default")
		if seen[ip] {
			t.Errorf("two pods have the address %s", ip)
		}
		seen[ip] = true
		reach = append(reach, ip+":80")
	}
	said := h.start(reach...).expect(0).Stdout
	if n := strings.Count(said, ":80 sees 172.16.28."); n != len(pods) {
		t.Errorf("%d of %d pods were reached:\n%s", n, len(pods), said)
	}
	for _, p := range pods {
		p.signal(syscall.SIGTERM)
	}
	for _, p := range pods {
		p.expect(128 + int(syscall.SIGTERM))
	}
	// Even before anything is collected.
	if now := h.networkState(); now != before {
		t.Errorf("left on the host:\n%s\n--- before:\n%s", now, before)
	}
	h.expectNetworkState(before)
}
