package network

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"rkt/internal/linux"
)

// frame is what a machine sends: addresses, type and payload.
type frame struct {
	from    string // MAC, empty for the machine's own
	kind    uint16
	payload []byte
}

func ipv4(source, target string) []byte {
	b := make([]byte, 28)
	b[0], b[3], b[8], b[9] = 0x45, 28, 64, unix.IPPROTO_UDP
	copy(b[12:], netip.MustParseAddr(source).AsSlice())
	copy(b[16:], netip.MustParseAddr(target).AsSlice())
	return b
}

func arp(mac net.HardwareAddr, sender string) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, 2}
	b = append(append(b, mac...), netip.MustParseAddr(sender).AsSlice()...)
	return append(b, make([]byte, 10)...)
}

func ipv6(next byte, source, target string, payload []byte) []byte {
	b := make([]byte, 40)
	b[0], b[6], b[7] = 0x60, next, 255
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	copy(b[8:], netip.MustParseAddr(source).AsSlice())
	copy(b[24:], netip.MustParseAddr(target).AsSlice())
	return append(b, payload...)
}

func neighbour(message byte, about string) []byte {
	b := make([]byte, 24)
	b[0] = message
	copy(b[8:], netip.MustParseAddr(about).AsSlice())
	return b
}

// TestOnlyOwnAddressesPass sends frames into the tap as a machine would, and
// counts what leaves the namespace.
func TestOnlyOwnAddressesPass(t *testing.T) {
	h := needHost(t)
	h.configure("10-dual.conflist", `{"name":"dual","cniVersion":"1.0.0","rkt":{"denyLinkLocal":true},"plugins":[{"type":"bridge",
		"bridge":"br-dual","ipam":{"type":"static","addresses":[{"address":"10.79.0.2/24"},{"address":"fd00:79::2/64"}]}}]}`)
	n := h.setup(h.options("dual"))
	defer n.Close()
	taps, err := n.Taps()
	if err != nil {
		t.Fatal(err)
	}
	defer taps[0].Close()
	own, err := net.ParseMAC(n.Interfaces[0].MAC)
	if err != nil {
		t.Fatal(err)
	}
	other := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	ll := linkLocal([6]byte(own)).String()
	for name, test := range map[string]struct {
		frame
		passes bool
	}{
		"own IPv4":                      {frame{"", unix.ETH_P_IP, ipv4("10.79.0.2", "10.79.0.1")}, true},
		"neighbour's IPv4":              {frame{"", unix.ETH_P_IP, ipv4("10.79.0.3", "10.79.0.1")}, false},
		"own IPv4, other MAC":           {frame{other.String(), unix.ETH_P_IP, ipv4("10.79.0.2", "10.79.0.1")}, false},
		"metadata service":              {frame{"", unix.ETH_P_IP, ipv4("10.79.0.2", "169.254.169.254")}, false},
		"own ARP":                       {frame{"", unix.ETH_P_ARP, arp(own, "10.79.0.2")}, true},
		"ARP probe":                     {frame{"", unix.ETH_P_ARP, arp(own, "0.0.0.0")}, true},
		"forged ARP":                    {frame{"", unix.ETH_P_ARP, arp(own, "10.79.0.1")}, false},
		"ARP of another MAC":            {frame{"", unix.ETH_P_ARP, arp(other, "10.79.0.2")}, false},
		"own IPv6":                      {frame{"", unix.ETH_P_IPV6, ipv6(17, "fd00:79::2", "fd00:79::1", make([]byte, 8))}, true},
		"neighbour's IPv6":              {frame{"", unix.ETH_P_IPV6, ipv6(17, "fd00:79::3", "fd00:79::1", make([]byte, 8))}, false},
		"own advertisement":             {frame{"", unix.ETH_P_IPV6, ipv6(58, "fd00:79::2", "ff02::1", neighbour(136, "fd00:79::2"))}, true},
		"own advertisement, link-local": {frame{"", unix.ETH_P_IPV6, ipv6(58, ll, "ff02::1", neighbour(136, "fd00:79::2"))}, true},
		"forged advertisement":          {frame{"", unix.ETH_P_IPV6, ipv6(58, "fd00:79::2", "ff02::1", neighbour(136, "fd00:79::1"))}, false},
		"solicitation":                  {frame{"", unix.ETH_P_IPV6, ipv6(58, "fd00:79::2", "ff02::1", neighbour(135, "fd00:79::1"))}, true},
		"duplicate address detection":   {frame{"", unix.ETH_P_IPV6, ipv6(58, "::", "ff02::1", neighbour(135, "fd00:79::2"))}, true},
		"router advertisement":          {frame{"", unix.ETH_P_IPV6, ipv6(58, ll, "ff02::1", neighbour(134, "::"))}, false},
		"redirect":                      {frame{"", unix.ETH_P_IPV6, ipv6(58, ll, "ff02::1", neighbour(137, "fd00:79::1"))}, false},
		"hidden by an extension header": {frame{"", unix.ETH_P_IPV6, ipv6(60, "fd00:79::2", "ff02::1", make([]byte, 8))}, false},
		"host's link-local, TCP":        {frame{"", unix.ETH_P_IPV6, ipv6(6, "fd00:79::2", "fe80::1", make([]byte, 20))}, false},
		"echo to the host's link-local": {frame{"", unix.ETH_P_IPV6, ipv6(58, ll, "fe80::1", neighbour(128, "::"))}, true},
		"another protocol":              {frame{"", unix.ETH_P_8021Q, make([]byte, 40)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			from := own
			if test.from != "" {
				from = other
			}
			before := h.sent()
			// 10 bytes of a header about segmentation, then the frame.
			b := append(make([]byte, 10), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
			b = binary.BigEndian.AppendUint16(append(b, from...), test.kind)
			if _, err := taps[0].Write(append(b, test.payload...)); err != nil {
				t.Fatal(err)
			}
			if after := h.sent(); (after.out == before.out+1) != test.passes || after.in != before.in+1 {
				t.Errorf("passes: %t; counted %+v, then %+v", !test.passes, before, after)
			}
		})
	}
	taps[0].Close()
	h.teardown()
	h.output("ip", "link", "del", "br-dual")
	h.clean()
}

// counts are what has come from the machine, and what of it has passed.
type counts struct{ in, out uint64 }

func (h *host) sent() (c counts) {
	h.Helper()
	err := linux.InNetNamespace(namespaceFile, func() error {
		tap, err := netlink.LinkByName("tap0")
		if err != nil {
			return err
		}
		c.in = tap.Attrs().Statistics.RxPackets
		filters, err := netlink.FilterList(tap, netlink.MakeHandle(0xffff, 0))
		for _, f := range filters {
			if u32, ok := f.(*netlink.U32); ok && len(u32.Actions) == 1 {
				c.out += uint64(u32.Actions[0].Attrs().Statistics.Basic.Packets)
			}
		}
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
	return c
}

// TestTapAgain shows that a second start in one namespace gets the traffic.
func TestTapAgain(t *testing.T) {
	h := needHost(t)
	n := h.setup(h.options("default"))
	defer n.Close()
	for range 2 {
		taps, err := n.Taps()
		if err != nil {
			t.Fatal(err)
		}
		h.askFor(n.Interfaces[0].Addresses[0].Addr())
		h.expectARP(taps[0])
		taps[0].Close()
	}
	h.teardown()
	h.clean()
}

// askFor makes the host look for a pod, once more.
func (h *host) askFor(ip netip.Addr) {
	h.Helper()
	h.output("ip", "neighbour", "flush", "all")
	conn, err := net.Dial("udp", fmt.Sprintf("%s:9", ip))
	if err != nil {
		h.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("x")); err != nil {
		h.Fatal(err)
	}
}

func (h *host) expectARP(tap *os.File) {
	h.Helper()
	if err := tap.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		h.Fatal(err)
	}
	b := make([]byte, 2000)
	for {
		n, err := tap.Read(b)
		if err != nil {
			h.Fatalf("nothing of the host's arrives: %v", err)
		}
		if n > 24 && binary.BigEndian.Uint16(b[22:]) == unix.ETH_P_ARP {
			return
		}
	}
}
