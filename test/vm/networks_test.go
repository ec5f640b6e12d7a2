package vm

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rkt/internal/network/networktest"
)

// flavour is a stage1 that pods are on networks in, and its image beside rkt, "" for
// the default one.
type flavour struct{ name, stage1 string }

// flavours are the two that need nothing of a host; or, where stage1 images are
// unpacked already, the one that is chosen there.
func flavours() []flavour {
	if os.Getenv(keptTemplate) != "" {
		return []flavour{{name: "chosen"}}
	}
	return []flavour{{"qemu", stage1File}, nspawn()}
}

func nspawn() flavour { return flavour{"nspawn", containerFile} }

// startIn is start with a flavour.
func (h *host) startIn(f flavour, args ...string) *pod {
	h.Helper()
	if f.stage1 == "" {
		return h.start(args...)
	}
	return h.start(append([]string{"--stage1-path=" + filepath.Join(h.build.bin, f.stage1), "--insecure-options=stage1"}, args...)...)
}

// networkCase is a network, or several, and who reaches whom there.
type networkCase struct {
	name   string
	config map[string]string // files of net.d
	net    string
	flags  []string
	// addresses are the server's, as the host or who is outside reaches it, and
	// other pods do.
	addresses func(server *pod) []string
	// hostReaches says that the host is a neighbour of the pods.
	hostReaches bool
	// services are addresses of the host and beyond, each with what a pod that
	// connects to it sees.
	services map[string]string
	inside   []string // what the server sees of itself
	bridges  []string // that stay for the next pod
}

// hostsPort is where the host of the tests answers with the asking address.
const hostsPort = "18070"

// Answers to a pod.
const (
	silence     = "i/o timeout"
	refused     = "connection refused"
	unreachable = "network is unreachable"
)

func ipv4On(networks ...string) func(*pod) []string {
	return func(server *pod) []string {
		var all []string
		for _, name := range networks {
			all = append(all, server.address(name)+":80")
		}
		return all
	}
}

func networkCases() []networkCase {
	outside := networktest.OutsideAddress + ":1"
	const bridged = `{"name":"bridged","type":"bridge","bridge":"br-one","isGateway":true,"ipMasq":true,
		"ipam":{"type":"host-local","subnet":"10.91.0.0/24","routes":[{"dst":"0.0.0.0/0"}]}}`
	return []networkCase{
		{
			name: "default", net: "default", addresses: ipv4On("default"), hostReaches: true,
			services: map[string]string{"172.16.28.1:" + hostsPort: silence, outside: refused},
		},
		{
			name: "default-restricted", net: "default-restricted", addresses: ipv4On("default-restricted"), hostReaches: true,
			services: map[string]string{"172.31.0.1:" + hostsPort: silence, outside: unreachable},
		},
		{
			name: "none", net: "none", addresses: func(*pod) []string { return nil },
			services: map[string]string{"172.16.28.1:" + hostsPort: unreachable, outside: unreachable}, inside: []string{"lo 65536"},
		},
		{
			name: "bridge with gateway", net: "bridged", config: map[string]string{"10-b.conf": bridged},
			addresses: ipv4On("bridged"), hostReaches: true, bridges: []string{"br-one"},
			services: map[string]string{"10.91.0.1:" + hostsPort: "sees 10.91.0.", outside: refused},
		},
		{
			name: "macvlan", net: "lan", config: map[string]string{"10-m.conf": `{"name":"lan","type":"macvlan","master":"uplink",
				"ipam":{"type":"host-local","ranges":[[{"subnet":"10.9.9.0/24","rangeStart":"10.9.9.20","rangeEnd":"10.9.9.29"}]]}}`},
			addresses: ipv4On("lan"), services: map[string]string{outside: refused},
		},
		{
			name: "two networks", net: "bridged,default-restricted", config: map[string]string{"10-b.conf": bridged},
			addresses: ipv4On("bridged", "default-restricted"), hostReaches: true, bridges: []string{"br-one"},
			services: map[string]string{"10.91.0.1:" + hostsPort: "sees 10.91.0.", "172.31.0.1:" + hostsPort: silence, outside: refused},
		},
		{
			name: "portmap and tuning", net: "tuned", flags: []string{"--port=18071:80"}, config: map[string]string{"10-t.conflist": `{"name":"tuned","cniVersion":"1.0.0","plugins":[
				{"type":"bridge","bridge":"br-one","isGateway":true,"ipam":{"type":"host-local","ranges":[[{"subnet":"10.92.0.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}},
				{"type":"portmap","capabilities":{"portMappings":true}},
				{"type":"tuning","mtu":1400,"sysctl":{"net.core.somaxconn":"500"}}]}`},
			addresses: func(server *pod) []string {
				return []string{server.address("tuned") + ":80", networktest.HostAddress + ":18071"}
			},
			hostReaches: true, bridges: []string{"br-one"}, inside: []string{"eth0 1400 [10.92.0.", "somaxconn: 500"},
			services: map[string]string{"10.92.0.1:" + hostsPort: "sees 10.92.0."},
		},
		{
			name: "dual stack", net: "dual", config: map[string]string{"10-d.conflist": `{"name":"dual","cniVersion":"1.0.0","plugins":[
				{"type":"bridge","bridge":"br-one","isGateway":true,"ipam":{"type":"host-local",
				"ranges":[[{"subnet":"10.93.0.0/24"}],[{"subnet":"fd00:93::/64"}]]}}]}`},
			addresses: func(server *pod) []string {
				ip := server.address("dual") // both families count in step
				return []string{ip + ":80", "[fd00:93::" + ip[strings.LastIndexByte(ip, '.')+1:] + "]:80"}
			},
			hostReaches: true, bridges: []string{"br-one"},
			services: map[string]string{"10.93.0.1:" + hostsPort: "sees 10.93.0.", "[fd00:93::1]:" + hostsPort: "sees fd00:93::"},
		},
	}
}

// TestNetworkTable: every kind of network with every flavour. The host and
// another pod reach a pod, a pod reaches what it should of the host and of the
// world, and nothing is left.
func TestNetworkTable(t *testing.T) {
	for _, f := range flavours() {
		for _, c := range networkCases() {
			t.Run(f.name+"/"+c.name, func(t *testing.T) { c.try(t, f) })
		}
	}
}

func (c networkCase) try(t *testing.T, f flavour) {
	h, before := needNetwork(t)
	answerOnHost(t)
	for name, text := range c.config {
		h.configureNetwork(name, text)
	}
	args := append([]string{"--net=" + c.net}, c.flags...)
	server := h.startIn(f, append(args, probeID(t), "--name=links", "--", "links", "---", probeID(t), "--name=server", "--", "serve", ":80")...)
	server.out.await(t, "ready")
	server.out.await(t, "somaxconn: ")
	for _, want := range c.inside {
		if said := server.out.String(); !strings.Contains(said, want) {
			t.Errorf("inside there is no %q:\n%s", want, said)
		}
	}
	awaitAddresses(t)
	addresses := c.addresses(server)
	for _, address := range addresses {
		if got := c.reach(t, address); net.ParseIP(got) == nil {
			t.Errorf("%s from without: %s", address, got)
		}
	}
	reach := append([]string{"--net=" + c.net, probeID(t), "--", "reach"}, addresses...)
	silent := []string{"-silent"}
	for address, want := range c.services {
		if want == silence {
			silent = append(silent, address)
		} else {
			reach = append(reach, address)
		}
	}
	reach = append(reach, silent...)
	said := h.startIn(f, reach...).expect(0).Stdout
	for _, address := range addresses {
		if !strings.Contains(said, address+" sees ") {
			t.Errorf("another pod does not reach %s:\n%s", address, said)
		}
	}
	for address, want := range c.services {
		if !slices.ContainsFunc(strings.Split(said, "\n"), func(line string) bool {
			return strings.Contains(line, "]: "+address+" ") && strings.Contains(line, want)
		}) {
			t.Errorf("a pod that connects to %s does not say %q:\n%s", address, want, said)
		}
	}
	server.signal(syscall.SIGTERM)
	server.wait()
	c.clean(h, before)
}

// awaitAddresses waits until all IPv6 addresses of the host can be used: it asks
// for a second whether anybody else has one before that.
func awaitAddresses(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		waiting, err := exec.CommandContext(t.Context(), "ip", "-6", "address", "show", "tentative").Output()
		if err != nil {
			t.Fatal(err)
		}
		if len(waiting) == 0 {
			return
		}
	}
	t.Fatal("an address of the host's stays tentative")
}

// reach connects as the host, or as its neighbour if that can't.
func (c networkCase) reach(t *testing.T, address string) string {
	t.Helper()
	if c.hostReaches {
		return ask(address)
	}
	return fromOutside(t, address)
}

// clean makes sure that nothing is left before anything is collected, either.
func (c networkCase) clean(h *host, before string) {
	h.Helper()
	for _, bridge := range c.bridges {
		if out, err := exec.Command("ip", "link", "del", bridge).CombinedOutput(); err != nil {
			h.Errorf("%v: %s", err, out)
		}
	}
	if now := h.networkState(); now != before {
		h.Errorf("left on the host:\n%s\n--- before:\n%s", now, before)
	}
	h.expectNetworkState(before)
}

// answerOnHost is a service of the host's.
func answerOnHost(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", ":"+hostsPort)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			from, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			fmt.Fprintln(conn, from)
			conn.Close()
		}
	}()
}
