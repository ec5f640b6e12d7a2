package network

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"

	"rkt/internal/fault"
	"rkt/internal/linux"
	"rkt/internal/network/iface"
)

// separate gives what runs in the pod a network namespace of its own, with
// interfaces like those of the plugins, each joined to one of these as a machine's
// tap is.
func (n *Network) separate() error {
	fault.Point("network.inside.before")
	if err := linux.MakeNetNamespace(innerFile, prepareNamespace); err != nil {
		return fmt.Errorf("make the network namespace inside: %w", err)
	}
	fault.Point("network.inside.after")
	inner, err := os.Open(innerFile)
	if err != nil {
		return err
	}
	defer inner.Close()
	err = linux.InNetNamespace(namespaceFile, func() error {
		for number, i := range n.Interfaces {
			if err := i.pair(number, inner, n.policies[number]); err != nil {
				return fmt.Errorf("join %s to its like inside: %w", i.Name, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	n.apart = true
	return linux.InNetNamespace(innerFile, n.furnishInside)
}

// pair makes a pair of interfaces, of which one end is inside and has the
// interface's name and address.
func (i *Interface) pair(number int, inner *os.File, p policy) error {
	mac, err := parseMAC(i.MAC)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("in%d", number)
	pair := &netlink.Veth{
		LinkAttrs: attrs, PeerName: i.Name, PeerHardwareAddr: mac[:], PeerNamespace: netlink.NsFd(inner.Fd()),
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return err
	}
	return i.redirect(attrs.Name, p)
}

// furnishInside does with the interfaces inside what the plugins did with theirs.
func (n *Network) furnishInside() error {
	for _, i := range n.Interfaces {
		link, err := netlink.LinkByName(i.Name)
		if err == nil {
			err = iface.Set(link, iface.Settings{
				Name: i.Name, MTU: i.MTU, Addresses: i.Addresses, Routes: i.Routes, Neighbours: i.Neighbours,
			})
		}
		if err != nil {
			return fmt.Errorf("%s inside: %w", i.Name, err)
		}
	}
	for name, value := range n.Sysctls {
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0); err != nil {
			return err
		}
	}
	return nil
}
