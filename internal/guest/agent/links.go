//go:build linux

package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"rkt/internal/guest/guestproto"
	"rkt/internal/network/iface"
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
		settings, err := linkSettings(l)
		if err == nil {
			err = iface.Set(found[n], settings)
		}
		if err != nil {
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

// linkSettings reads what the host says of an interface.
func linkSettings(l *guestproto.Link) (iface.Settings, error) {
	s := iface.Settings{Name: l.Name, MTU: int(l.Mtu)}
	for _, text := range l.Addresses {
		address, err := netip.ParsePrefix(text)
		if err != nil {
			return s, fmt.Errorf("address: %w", err)
		}
		s.Addresses = append(s.Addresses, address)
	}
	for _, n := range l.Neighbours {
		ip, err := netip.ParseAddr(n.Ip)
		if err != nil {
			return s, fmt.Errorf("neighbour: %w", err)
		}
		s.Neighbours = append(s.Neighbours, iface.Neighbour{IP: ip, MAC: n.Mac})
	}
	for _, r := range l.Routes {
		route := iface.Route{Metric: int(r.Metric), MTU: int(r.Mtu), OnLink: r.OnLink}
		var errs [3]error
		route.Destination, errs[0] = netip.ParsePrefix(r.Destination)
		route.Gateway, errs[1] = optionalAddress(r.Gateway)
		route.Source, errs[2] = optionalAddress(r.Source)
		if err := errors.Join(errs[:]...); err != nil {
			return s, fmt.Errorf("route: %w", err)
		}
		s.Routes = append(s.Routes, route)
	}
	return s, nil
}

// optionalAddress is invalid of "".
func optionalAddress(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	return netip.ParseAddr(text)
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
