package vm

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"

	"rkt/internal/linux"
)

// many is how often a pod sends what it must not. Systems send some such frames
// by themselves, but never so many.
const many = 50

// rules counts what each of a pod's rules has stopped, on the host. Rules about
// frames are in the queue at the pod's interface, those about packets in chains.
func (p *pod) rules(f flavour) map[string]uint64 {
	p.h.Helper()
	found := make(map[string]uint64)
	count := func(link netlink.Link) error {
		filters, err := netlink.FilterList(link, netlink.MakeHandle(0xffff, 0))
		for _, filter := range filters {
			u32, ok := filter.(*netlink.U32)
			if !ok || len(u32.Actions) != 1 {
				continue
			}
			if back, ok := u32.Actions[0].(*netlink.MirredAction); ok && back.Ifindex == link.Attrs().Index {
				found[fmt.Sprintf("%s rule %d", link.Attrs().Name, u32.Priority)] = uint64(back.Statistics.Basic.Packets)
			}
		}
		return err
	}
	var end int
	err := linux.InNetNamespace(filepath.Join(p.dir(), "netns"), func() error {
		device := "tap0"
		if f.stage1 == containerFile {
			device = "eth0"
		}
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		end = link.Attrs().ParentIndex
		if f.stage1 == containerFile {
			return nil
		}
		return count(link)
	})
	if err == nil && f.stage1 == containerFile {
		var link netlink.Link
		if link, err = netlink.LinkByIndex(end); err == nil {
			err = count(link)
		}
	}
	if err != nil {
		p.h.Fatal(err)
	}
	p.h.countDropped(found)
	return found
}

// countDropped adds what the chains of the plugin have dropped.
func (h *host) countDropped(to map[string]uint64) {
	h.Helper()
	for _, table := range []string{"raw", "filter"} {
		out, err := exec.Command("iptables-save", "-c", "-t", table).Output()
		if err != nil {
			h.Fatal(err)
		}
		for line := range strings.Lines(string(out)) {
			var packets, bytes uint64
			rest := strings.TrimSpace(line)
			if _, err := fmt.Sscanf(rest, "[%d:%d]", &packets, &bytes); err == nil && strings.Contains(line, "RKT-") && strings.HasSuffix(rest, "-j DROP") {
				_, rule, _ := strings.Cut(rest, "] ")
				to[table+" "+rule] += packets
			}
		}
	}
}

// risen names a rule that has stopped at least as many more, or is "".
func risen(before, after map[string]uint64, by uint64) string {
	for rule, n := range after {
		if n >= before[rule]+by {
			return rule
		}
	}
	return ""
}

// TestAttacks: an app with raw sockets, in a machine and in a container, tries
// what a pod must not do. Each is stopped, and counted on the host.
func TestAttacks(t *testing.T) {
	for _, f := range flavours() {
		t.Run(f.name, func(t *testing.T) { attack(t, f) })
	}
}

func attack(t *testing.T, f flavour) {
	h, before := needNetwork(t)
	victim := h.startIn(nspawn(), "--net=default", probeID(t), "--", "serve", ":80")
	p := h.startIn(f, "--net=default", probeID(t), "--", "serve", ":80")
	p.out.await(t, "ready")
	victim.out.await(t, "ready")
	neighbour := victim.address("default")
	for _, test := range []struct{ name, kind, address string }{
		{"a neighbour's source address", "source", neighbour},
		{"ARP about a neighbour", "arp", neighbour},
		{"ARP about the gateway", "arp", "172.16.28.1"},
		{"neighbour discovery about the gateway", "nd", "fe80::1"},
		{"the metadata service of clouds", "to", "169.254.169.254"},
	} {
		start := p.rules(f)
		h.must("exec", p.uuid(), "--", "/probe", "forge", test.kind, fmt.Sprint(many), test.address)
		if rule := risen(start, p.rules(f), many); rule == "" {
			t.Errorf("%s: no rule has stopped %d frames; before %v, after %v", test.name, many, start, p.rules(f))
		} else {
			t.Logf("%s: stopped by %s", test.name, rule)
		}
	}
	start := p.rules(f)
	said := h.must("exec", p.uuid(), "--", "/probe", "reach", "-silent", "172.16.28.1:1")
	after := p.rules(f)
	// A single packet may come with others, as of neighbour discovery.
	maps.DeleteFunc(after, func(rule string, _ uint64) bool { return !strings.HasPrefix(rule, "filter ") })
	if risen(start, after, 1) == "" || !strings.Contains(said, silence) {
		t.Errorf("a closed port of the gateway: before %v, after %v, said %s", start, after, said)
	}
	start = p.rules(f)
	h.must("exec", p.uuid(), "--", "/probe", "forge", "own", fmt.Sprint(many), neighbour)
	if rule := risen(start, p.rules(f), many); rule != "" {
		t.Errorf("what is allowed is stopped by %s", rule)
	}
	known, err := exec.Command("ip", "neighbour").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(known), neighbour+" "); n > 1 || strings.Contains(string(known), "172.16.28.1 ") {
		t.Errorf("the host believes what was forged:\n%s", known)
	}
	if got := ask(neighbour + ":80"); got != "172.16.28.1" {
		t.Errorf("the neighbour is not reached any more: %s", got)
	}
	for _, pod := range []*pod{p, victim} {
		pod.signal(syscall.SIGTERM)
		pod.wait()
	}
	h.expectNetworkState(before)
}
