//go:build linux

// Package iface makes a network interface what somebody decided it is to be: its
// name, addresses, routes. The agent does that in machines, and the network's
// set-up for containers.
package iface

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Settings are all that an interface has, and it has no others.
type Settings struct {
	Name       string
	MTU        int
	Addresses  []netip.Prefix
	Routes     []Route
	Neighbours []Neighbour
}

// Route is one of the interface's in the main table. An invalid Gateway is a
// destination on the link.
type Route struct {
	Destination netip.Prefix
	Gateway     netip.Addr
	Source      netip.Addr // preferred, or invalid
	Metric      int
	MTU         int // 0 for the interface's
	OnLink      bool
}

// Neighbour is a permanent one.
type Neighbour struct {
	IP  netip.Addr
	MAC string // as aa:bb:cc:dd:ee:ff
}

// Set gives an interface of the caller's network namespace the settings, and
// brings it up.
func Set(link netlink.Link, s Settings) error {
	if err := netlink.LinkSetName(link, s.Name); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	// Its addresses are these and no others: what routers announce would not
	// get through anyway.
	if err := quiet(s.Name); err != nil {
		return err
	}
	if err := netlink.LinkSetMTU(link, s.MTU); err != nil {
		return fmt.Errorf("set MTU %d: %w", s.MTU, err)
	}
	for _, a := range s.Addresses {
		if err := addAddress(link, a); err != nil {
			return fmt.Errorf("address %s: %w", a, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring up: %w", err)
	}
	for _, n := range s.Neighbours {
		if err := addNeighbour(link, n); err != nil {
			return fmt.Errorf("neighbour %s: %w", n.IP, err)
		}
	}
	return addRoutes(link, s.Routes)
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

func addAddress(link netlink.Link, prefix netip.Prefix) error {
	address := &netlink.Addr{IPNet: ipNet(prefix)}
	if prefix.Addr().Is6() {
		// Nobody else was given it, and looking for them takes a second.
		address.Flags = unix.IFA_F_NODAD
	}
	return netlink.AddrAdd(link, address)
}

func addNeighbour(link netlink.Link, n Neighbour) error {
	mac, err := net.ParseMAC(n.MAC)
	if err != nil {
		return err
	}
	return netlink.NeighSet(&netlink.Neigh{
		LinkIndex: link.Attrs().Index, IP: n.IP.AsSlice(), HardwareAddr: mac, State: netlink.NUD_PERMANENT,
	})
}

// addRoutes adds those to the link first: gateways are reached over them.
func addRoutes(link netlink.Link, routes []Route) error {
	for _, direct := range []bool{true, false} {
		for _, r := range routes {
			if r.Gateway.IsValid() == direct {
				continue
			}
			if err := addRoute(link, r); err != nil {
				return fmt.Errorf("route to %s: %w", r.Destination, err)
			}
		}
	}
	return nil
}

func addRoute(link netlink.Link, r Route) error {
	route := &netlink.Route{
		LinkIndex: link.Attrs().Index, Dst: ipNet(r.Destination), Gw: r.Gateway.AsSlice(), Src: r.Source.AsSlice(),
		Priority: r.Metric, MTU: r.MTU,
	}
	if !r.Gateway.IsValid() {
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
