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
	// Without its checksum a bridge may drop it, whatever our rules say.
	var sum uint32
	for n := 0; n < 20; n += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[n:]))
	}
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum+sum>>16))
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

// attempt is a frame, and whether it is to leave the pod.
type attempt struct {
	frame
	passes bool
}

// otherMAC is nobody's.
func otherMAC() net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, 9} }

// attempts are frames of a pod with the given address on the network of
// dualStack.
func attempts(own net.HardwareAddr) map[string]attempt {
	other, ll := otherMAC(), linkLocal([6]byte(own)).String()
	return map[string]attempt{
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
	}
}

// bytes is the frame as it is on the wire.
func (f frame) bytes(own net.HardwareAddr) []byte {
	from := own
	if f.from != "" {
		from = otherMAC()
	}
	b := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, from...)
	return append(binary.BigEndian.AppendUint16(b, f.kind), f.payload...)
}

// dualStack puts the pod on a bridge with two addresses, under a policy.
func (h *host) dualStack(policy string) (n *Network, own net.HardwareAddr) {
	h.Helper()
	h.configure("10-dual.conflist", `{"name":"dual","cniVersion":"1.0.0","rkt":`+policy+`,"plugins":[{"type":"bridge",
		"bridge":"br-dual","ipam":{"type":"static","addresses":[{"address":"10.79.0.2/24"},{"address":"fd00:79::2/64"}]}}]}`)
	n = h.setup(h.options("dual"))
	own, err := net.ParseMAC(n.Interfaces[0].MAC)
	if err != nil {
		h.Fatal(err)
	}
	return n, own
}

// endDualStack takes the network of dualStack away, and expects no trace of it.
func (h *host) endDualStack() {
	h.Helper()
	h.teardown()
	h.output("ip", "link", "del", "br-dual")
	h.clean()
}

// TestOnlyOwnAddressesPass sends frames into the tap as a machine would, and
// counts what leaves the namespace.
func TestOnlyOwnAddressesPass(t *testing.T) {
	h := needHost(t)
	n, own := h.dualStack(`{"denyLinkLocal":true}`)
	defer n.Close()
	taps, err := n.Taps()
	if err != nil {
		t.Fatal(err)
	}
	defer taps[0].Close()
	for name, test := range attempts(own) {
		t.Run(name, func(t *testing.T) {
			before := h.sent()
			// 10 bytes of a header about segmentation, then the frame.
			if _, err := taps[0].Write(append(make([]byte, 10), test.bytes(own)...)); err != nil {
				t.Fatal(err)
			}
			want := counts{before.in + 1, before.out, before.stopped + 1}
			if test.passes {
				want = counts{before.in + 1, before.out + 1, before.stopped}
			}
			if after := h.sent(); after != want {
				t.Errorf("counted %+v, then %+v, want %+v", before, after, want)
			}
		})
	}
	taps[0].Close()
	h.endDualStack()
}

// counts are what has come from the machine, and what of it has passed or was
// stopped.
type counts struct{ in, out, stopped uint64 }

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
			u32, ok := f.(*netlink.U32)
			if !ok || len(u32.Actions) != 1 {
				continue
			}
			packets := uint64(u32.Actions[0].Attrs().Statistics.Basic.Packets)
			if action, ok := u32.Actions[0].(*netlink.MirredAction); ok && action.Ifindex != tap.Attrs().Index {
				c.out += packets
			} else {
				c.stopped += packets
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
