package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"rkt/internal/linux"
	"rkt/internal/network/iface"
)

// Bounds of what is taken over from a namespace: the plugins are trusted, but
// the machine's message is of bounded size.
const (
	maxAddresses = 64
	maxRoutes    = 1024
)

// Interface is what the plugins left of one in the namespace. Another kernel
// can be given the same.
type Interface struct {
	Name       string
	MAC        string // as aa:bb:cc:dd:ee:ff
	MTU        int
	Addresses  []netip.Prefix
	Routes     []Route
	Neighbours []Neighbour
}

// Route is one of an interface's in the main table.
type Route = iface.Route

// Neighbour is a permanent one.
type Neighbour = iface.Neighbour

// observe reads what the plugins left.
func (n *Network) observe(attachments []*attachment) error {
	n.Sysctls = make(map[string]string)
	err := linux.InNetNamespace(namespaceFile, func() error {
		for _, a := range attachments {
			i, err := observeInterface(a.Interface)
			if err != nil {
				return fmt.Errorf("network %q: read what its plugins made: %w", a.Name, err)
			}
			n.Interfaces = append(n.Interfaces, i)
		}
		return nil
	})
	for _, a := range attachments {
		n.policies = append(n.policies, a.Policy)
		a.addSysctls(n.Sysctls)
	}
	return err
}

func observeInterface(name string) (*Interface, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	attrs := link.Attrs()
	if attrs.HardwareAddr == nil || len(attrs.HardwareAddr) != 6 {
		return nil, fmt.Errorf("%s has no Ethernet address", name)
	}
	i := &Interface{Name: name, MAC: attrs.HardwareAddr.String(), MTU: attrs.MTU}
	return i, errors.Join(i.readAddresses(link), i.readRoutes(link), i.readNeighbours(link))
}

func (i *Interface) readAddresses(link netlink.Link) error {
	addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("addresses: %w", err)
	}
	for _, a := range addrs {
		prefix, ok := toPrefix(a.IPNet)
		// Every kernel makes its own link-local addresses.
		if !ok || prefix.Addr().Is6() && a.Scope == unix.RT_SCOPE_LINK {
			continue
		}
		i.Addresses = append(i.Addresses, prefix)
	}
	if len(i.Addresses) > maxAddresses {
		return fmt.Errorf("%d addresses, more than %d", len(i.Addresses), maxAddresses)
	}
	return nil
}

// readRoutes leaves out what the kernel makes by itself with the addresses.
func (i *Interface) readRoutes(link netlink.Link) error {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteList(link, family)
		if err != nil {
			return fmt.Errorf("routes: %w", err)
		}
		for _, r := range routes {
			if r.Type != unix.RTN_UNICAST || r.Protocol == unix.RTPROT_KERNEL || r.MultiPath != nil {
				continue
			}
			route, ok := toRoute(r, family)
			if !ok {
				return fmt.Errorf("a route that is not understood: %s", r)
			}
			i.Routes = append(i.Routes, route)
		}
	}
	if len(i.Routes) > maxRoutes {
		return fmt.Errorf("%d routes, more than %d", len(i.Routes), maxRoutes)
	}
	// A plugin may have removed the kernel's own route to the subnet, as ptp
	// does. An address with its prefix would bring it back.
	return i.narrowAddresses(link)
}

// narrowAddresses makes host addresses of those whose subnet has no route of
// the kernel's on the interface.
func (i *Interface) narrowAddresses(link netlink.Link) error {
	onLink := make(map[netip.Prefix]bool)
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteList(link, family)
		if err != nil {
			return fmt.Errorf("routes: %w", err)
		}
		for _, r := range routes {
			if prefix, ok := toPrefix(r.Dst); ok && r.Gw == nil {
				onLink[prefix] = true
			}
		}
	}
	for n, a := range i.Addresses {
		if !onLink[a.Masked()] {
			i.Addresses[n] = netip.PrefixFrom(a.Addr(), a.Addr().BitLen())
		}
	}
	return nil
}

func toRoute(r netlink.Route, family int) (Route, bool) {
	route := Route{Metric: r.Priority, MTU: r.MTU, OnLink: r.Flags&unix.RTNH_F_ONLINK != 0}
	var ok bool
	if r.Dst == nil {
		route.Destination, ok = defaultRoute(family), true
	} else {
		route.Destination, ok = toPrefix(r.Dst)
	}
	if gateway, valid := netip.AddrFromSlice(r.Gw); valid {
		route.Gateway = gateway.Unmap()
	}
	if source, valid := netip.AddrFromSlice(r.Src); valid {
		route.Source = source.Unmap()
	}
	return route, ok && r.Via == nil && r.Encap == nil
}

func defaultRoute(family int) netip.Prefix {
	if family == netlink.FAMILY_V6 {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

func (i *Interface) readNeighbours(link netlink.Link) error {
	neighbours, err := netlink.NeighList(link.Attrs().Index, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("neighbours: %w", err)
	}
	for _, n := range neighbours {
		ip, ok := netip.AddrFromSlice(n.IP)
		if n.State&netlink.NUD_PERMANENT != 0 && ok && len(n.HardwareAddr) == 6 {
			i.Neighbours = append(i.Neighbours, Neighbour{IP: ip.Unmap(), MAC: n.HardwareAddr.String()})
		}
	}
	if len(i.Neighbours) > maxRoutes {
		return fmt.Errorf("%d permanent neighbours, more than %d", len(i.Neighbours), maxRoutes)
	}
	return nil
}

func toPrefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	ip, ok := netip.AddrFromSlice(n.IP)
	if !ok {
		return netip.Prefix{}, false
	}
	bits, size := n.Mask.Size()
	ip = ip.Unmap()
	if size != ip.BitLen() {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(ip, bits), true
}

// firstAddresses returns the first address of each family.
func (i *Interface) firstAddresses() (ip, mask, ip6 net.IP) {
	for _, a := range i.Addresses {
		switch {
		case a.Addr().Is4() && ip == nil:
			ip, mask = net.IP(a.Addr().AsSlice()), net.IP(net.CIDRMask(a.Bits(), 32))
		case a.Addr().Is6() && ip6 == nil:
			ip6 = net.IP(a.Addr().AsSlice())
		}
	}
	return ip, mask, ip6
}

// addSysctls adds what plugins of the type tuning were told to set.
func (a *attachment) addSysctls(to map[string]string) {
	const tuning = "tuning"
	for _, plugin := range a.list.Plugins {
		var conf struct {
			Sysctl map[string]string `json:"sysctl"`
		}
		if plugin.Network.Type != tuning || json.Unmarshal(plugin.Bytes, &conf) != nil {
			continue
		}
		for name, value := range conf.Sysctl {
			to[sysctlName(name, a.Interface)] = value
		}
	}
}

// sysctlName writes a setting's name as tuning reads it: dots are slashes, and
// IFNAME is the interface.
func sysctlName(name, device string) string {
	return filepath.Clean(strings.Replace(strings.ReplaceAll(name, ".", "/"), "IFNAME", device, 1))
}

func containsText(err error, text string) bool { return strings.Contains(err.Error(), text) }
