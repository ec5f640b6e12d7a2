//go:build linux

package agent

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"rkt/internal/guest/guestproto"
)

// setLinks makes the machine's interfaces what the host says. Which is which
// the addresses of their cards tell; the kernel's own names depend on the order
// in which it found them.
func setLinks(links []*guestproto.Link) error {
	if len(links) == 0 {
		return nil
	}
	found := make([]netlink.Link, len(links))
	for n, l := range links {
		link, err := linkByMAC(l.Mac)
		if err != nil {
			return fmt.Errorf("%s: %w", l.Name, err)
		}
		// Out of the way of those that are to have its name.
		if err := netlink.LinkSetName(link, fmt.Sprintf("rkt%d", n)); err != nil {
			return fmt.Errorf("%s: rename: %w", l.Name, err)
		}
		found[n] = link
	}
	for n, l := range links {
		if err := setLink(found[n], l); err != nil {
			return fmt.Errorf("%s: %w", l.Name, err)
		}
	}
	return nil
}

func linkByMAC(mac string) (netlink.Link, error) {
	all, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(l netlink.Link) bool { return l.Attrs().HardwareAddr.String() == mac })
	if i < 0 {
		return nil, fmt.Errorf("there is no interface with the address %s", mac)
	}
	return all[i], nil
}

func setLink(link netlink.Link, l *guestproto.Link) error {
	if err := netlink.LinkSetName(link, l.Name); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	// Its addresses are these and no others: what routers announce would not
	// get through anyway.
	if err := quiet(l.Name); err != nil {
		return err
	}
	if err := netlink.LinkSetMTU(link, int(l.Mtu)); err != nil {
		return fmt.Errorf("set MTU %d: %w", l.Mtu, err)
	}
	for _, a := range l.Addresses {
		if err := addAddress(link, a); err != nil {
			return fmt.Errorf("address %s: %w", a, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring up: %w", err)
	}
	for _, n := range l.Neighbours {
		if err := addNeighbour(link, n); err != nil {
			return fmt.Errorf("neighbour %s: %w", n.Ip, err)
		}
	}
	return addRoutes(link, l.Routes)
}

func quiet(name string) error {
	for _, setting := range []string{"accept_ra", "autoconf"} {
		err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/"+setting, []byte("0"), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func addAddress(link netlink.Link, text string) error {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return err
	}
	address := &netlink.Addr{IPNet: ipNet(prefix)}
	if prefix.Addr().Is6() {
		// Nobody else was given it, and looking for them takes a second.
		address.Flags = unix.IFA_F_NODAD
	}
	return netlink.AddrAdd(link, address)
}

func addNeighbour(link netlink.Link, n *guestproto.Neighbour) error {
	mac, err := net.ParseMAC(n.Mac)
	if err != nil {
		return err
	}
	return netlink.NeighSet(&netlink.Neigh{
		LinkIndex: link.Attrs().Index, IP: net.ParseIP(n.Ip), HardwareAddr: mac, State: netlink.NUD_PERMANENT,
	})
}

// addRoutes adds those to the link first: gateways are reached over them.
func addRoutes(link netlink.Link, routes []*guestproto.Route) error {
	direct := func(r *guestproto.Route) bool { return r.Gateway == "" }
	for _, first := range []bool{true, false} {
		for _, r := range routes {
			if direct(r) != first {
				continue
			}
			if err := addRoute(link, r); err != nil {
				return fmt.Errorf("route to %s: %w", r.Destination, err)
			}
		}
	}
	return nil
}

func addRoute(link netlink.Link, r *guestproto.Route) error {
	destination, err := netip.ParsePrefix(r.Destination)
	if err != nil {
		return err
	}
	route := &netlink.Route{
		LinkIndex: link.Attrs().Index, Dst: ipNet(destination), Gw: net.ParseIP(r.Gateway), Src: net.ParseIP(r.Source),
		Priority: int(r.Metric), MTU: int(r.Mtu),
	}
	if r.Gateway == "" {
		route.Scope = netlink.SCOPE_LINK
	}
	if r.OnLink {
		route.Flags = int(netlink.FLAG_ONLINK)
	}
	return netlink.RouteReplace(route)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// setSysctls makes settings of the network, and no others. One that this
// kernel does not have is an error: somebody counts on it.
func setSysctls(sysctls []*guestproto.Sysctl) error {
	for _, s := range sysctls {
		if name := path.Clean(s.Name); name != s.Name || !strings.HasPrefix(name, "net/") {
			return fmt.Errorf("%q is no setting of the network", s.Name)
		}
		if err := os.WriteFile("/proc/sys/"+s.Name, []byte(s.Value), 0); err != nil {
			return err
		}
	}
	return nil
}
