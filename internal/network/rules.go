package network

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// rule is about frames that a pod sends: the first that matches decides.
type rule struct {
	protocol uint16 // of the frame, as in its header
	keys     []netlink.TcU32Key
	pass     bool
}

// Offsets are relative to the network header; the Ethernet header is before it.
// A key is a word of 32 bits at an offset divisible by four.
const (
	frameSource  = -8
	arpSender    = 8
	ipv4Source   = 12
	ipv4Target   = 16
	ipv6Next     = 4
	ipv6Source   = 8
	ipv6Target   = 24
	icmp6Type    = 40
	icmp6About   = 48 // the address that an advertisement is about
	ipv6FragNext = 40
)

// Numbers of the header after IPv6's, and of messages of ICMPv6.
// Source: RFC 8200, RFC 4861.
const (
	nextHop         = 0
	nextRouting     = 43
	nextFragment    = 44
	nextICMP6       = 58
	nextDestination = 60

	routerAdvertisement    = 134
	neighbourSolicitation  = 135
	neighbourAdvertisement = 136
	redirectMessage        = 137
)

// linkLocalIPv4 holds the metadata services of clouds. Source: RFC 3927.
const linkLocalIPv4 = 0xa9fe0000

// maxRules is what the priorities of filters have room for, and a packet time.
const maxRules = 512

// everything passes all frames.
func everything() rule {
	return rule{unix.ETH_P_ALL, []netlink.TcU32Key{{}}, true}
}

// nothing stops the frames that no rule before it has let pass.
func nothing() rule {
	r := everything()
	r.pass = false
	return r
}

// rules returns what a pod may send over the interface. The last of them decides
// about everything.
func (i *Interface) rules(p policy) ([]rule, error) {
	if p.AllowSpoofing {
		return []rule{everything()}, nil
	}
	from, err := parseMAC(i.MAC)
	if err != nil {
		return nil, err
	}
	rules := append(i.rulesARP(from), i.rulesIPv4(from, p)...)
	rules = append(rules, i.rulesIPv6(from, p)...)
	rules = append(rules, nothing())
	if len(rules) > maxRules {
		return nil, fmt.Errorf("%d addresses are too many to check what is sent", len(i.Addresses))
	}
	return rules, nil
}

// parseMAC reads an address like aa:bb:cc:dd:ee:ff.
func parseMAC(text string) ([6]byte, error) {
	mac, err := net.ParseMAC(text)
	if err != nil || len(mac) != 6 {
		return [6]byte{}, fmt.Errorf("%q is no Ethernet address", text)
	}
	return [6]byte(mac), nil
}

// rulesARP lets the pod speak of its own addresses, and ask whether one is
// taken.
func (i *Interface) rulesARP(mac [6]byte) []rule {
	var rules []rule
	for _, ip := range append(i.addresses(netip.Addr.Is4), netip.IPv4Unspecified()) {
		b := ip.As4()
		keys := append(macKeys(mac),
			word(arpSender, binary.BigEndian.Uint32(mac[:4]), ^uint32(0)),
			word(arpSender+4, uint32(mac[4])<<24|uint32(mac[5])<<16|uint32(b[0])<<8|uint32(b[1]), ^uint32(0)),
			word(arpSender+8, uint32(b[2])<<24|uint32(b[3])<<16, 0xffff0000),
		)
		rules = append(rules, rule{unix.ETH_P_ARP, keys, true})
	}
	return rules
}

func (i *Interface) rulesIPv4(mac [6]byte, p policy) []rule {
	var rules []rule
	if p.DenyLinkLocal {
		rules = append(rules, rule{unix.ETH_P_IP, []netlink.TcU32Key{word(ipv4Target, linkLocalIPv4, 0xffff0000)}, false})
	}
	for _, ip := range i.addresses(netip.Addr.Is4) {
		b := ip.As4()
		keys := append(macKeys(mac), word(ipv4Source, binary.BigEndian.Uint32(b[:]), ^uint32(0)))
		rules = append(rules, rule{unix.ETH_P_IP, keys, true})
	}
	return rules
}

// rulesIPv6 lets no router's messages through, and advertisements only about
// the pod's own addresses. Headers that could hide such messages from these
// rules don't pass either.
func (i *Interface) rulesIPv6(mac [6]byte, p policy) []rule {
	own := append(i.addresses(netip.Addr.Is6), linkLocal(mac))
	var rules []rule
	pass := func(keys ...netlink.TcU32Key) {
		rules = append(rules, rule{unix.ETH_P_IPV6, append(macKeys(mac), keys...), true})
	}
	stop := func(keys ...netlink.TcU32Key) { rules = append(rules, rule{unix.ETH_P_IPV6, keys, false}) }
	for _, header := range []uint32{nextHop, nextRouting, nextDestination} {
		stop(nextHeader(header))
	}
	stop(nextHeader(nextFragment), word(ipv6FragNext, nextICMP6<<24, 0xff000000))
	for _, message := range []uint32{routerAdvertisement, redirectMessage} {
		stop(icmp6(message)...)
	}
	for _, about := range own {
		for _, source := range []netip.Addr{about, linkLocal(mac)} {
			pass(concat(icmp6(neighbourAdvertisement), address(ipv6Source, source), address(icmp6About, about))...)
		}
	}
	stop(icmp6(neighbourAdvertisement)...)
	// Asking whether an address is taken comes from no address.
	pass(concat(icmp6(neighbourSolicitation), address(ipv6Source, netip.IPv6Unspecified()))...)
	for _, source := range own {
		pass(append(address(ipv6Source, source), nextHeader(nextICMP6))...)
	}
	if p.DenyLinkLocal {
		stop(word(ipv6Target, 0xfe800000, 0xffc00000))
	}
	for _, source := range own {
		pass(address(ipv6Source, source)...)
	}
	return rules
}

func (i *Interface) addresses(of func(netip.Addr) bool) []netip.Addr {
	var found []netip.Addr
	for _, a := range i.Addresses {
		if of(a.Addr()) {
			found = append(found, a.Addr())
		}
	}
	return found
}

// linkLocal is the address that a kernel makes of its interface's.
// Source: RFC 4291, appendix A.
func linkLocal(mac [6]byte) netip.Addr {
	return netip.AddrFrom16([16]byte{
		0xfe, 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5],
	})
}

func word(offset int32, value, mask uint32) netlink.TcU32Key {
	return netlink.TcU32Key{Off: offset, Val: value, Mask: mask}
}

func macKeys(mac [6]byte) []netlink.TcU32Key {
	return []netlink.TcU32Key{
		word(frameSource, binary.BigEndian.Uint32(mac[:4]), ^uint32(0)),
		word(frameSource+4, uint32(mac[4])<<24|uint32(mac[5])<<16, 0xffff0000),
	}
}

func nextHeader(number uint32) netlink.TcU32Key { return word(ipv6Next, number<<8, 0xff00) }

func icmp6(message uint32) []netlink.TcU32Key {
	return []netlink.TcU32Key{nextHeader(nextICMP6), word(icmp6Type, message<<24, 0xff000000)}
}

// address matches an IPv6 address at an offset.
func address(offset int32, ip netip.Addr) []netlink.TcU32Key {
	b := ip.As16()
	var keys []netlink.TcU32Key
	for n := int32(0); n < 16; n += 4 {
		keys = append(keys, word(offset+n, binary.BigEndian.Uint32(b[n:]), ^uint32(0)))
	}
	return keys
}

func concat(parts ...[]netlink.TcU32Key) []netlink.TcU32Key {
	var all []netlink.TcU32Key
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
