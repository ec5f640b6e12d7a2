package network

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"rkt/internal/fault"
	"rkt/internal/linux"
)

// Taps makes a tap for each interface, in their order, and joins the two, so
// that what a machine does with the tap it does with the interface. A machine
// must use the interface's MAC and MTU; what it sends from another address
// than the interface's is left in the namespace, which has no use for it.
//
// The taps and all rules go with the last descriptor or the namespace.
func (n *Network) Taps() ([]*os.File, error) {
	var taps []*os.File
	fault.Point("network.taps.before")
	err := linux.InNetNamespace(namespaceFile, func() error {
		for number, i := range n.Interfaces {
			tap, err := i.join(number, n.policies[number])
			if err != nil {
				return fmt.Errorf("join %s to a tap: %w", i.Name, err)
			}
			taps = append(taps, tap)
		}
		return nil
	})
	fault.Point("network.taps.after")
	if err != nil {
		for _, tap := range taps {
			tap.Close()
		}
		return nil, err
	}
	return taps, nil
}

// join makes the tap of one interface.
func (i *Interface) join(number int, p policy) (*os.File, error) {
	name := fmt.Sprintf("tap%d", number)
	file, err := openTap(name)
	if err != nil {
		return nil, err
	}
	err = i.redirect(name, p)
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// openTap makes a tap that passes on checksums and segmentation not done yet.
func openTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: "/dev/net/tun", Err: err}
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = os.NewSyscallError("ioctl TUNSETIFF", unix.IoctlIfreq(fd, unix.TUNSETIFF, request))
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}

// redirect sends all that arrives at the interface to the tap, and what the
// rules let through the other way.
func (i *Interface) redirect(tapName string, p policy) error {
	outside, err := netlink.LinkByName(i.Name)
	if err != nil {
		return err
	}
	tap, err := netlink.LinkByName(tapName)
	if err != nil {
		return err
	}
	if err := silence(tapName); err != nil {
		return err
	}
	if err := netlink.LinkSetMTU(tap, i.MTU); err != nil {
		return fmt.Errorf("set MTU %d: %w", i.MTU, err)
	}
	rules, err := i.rules(p)
	if err != nil {
		return err
	}
	if err := errors.Join(addRules(outside, tap, []rule{everything()}), addRules(tap, outside, rules)); err != nil {
		return err
	}
	return netlink.LinkSetUp(tap)
}

// silence keeps the namespace itself from answering what is not redirected.
func silence(tap string) error {
	for _, s := range []struct{ name, value string }{
		{"ipv6/conf/" + tap + "/disable_ipv6", "1"},
		{"ipv4/conf/" + tap + "/arp_ignore", "8"}, // never
		{"ipv4/conf/" + tap + "/rp_filter", "1"},  // no address is reached over it
	} {
		err := os.WriteFile("/proc/sys/net/"+s.name, []byte(s.value), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// addRules redirects what arrives at one link to another. The qdisc of an
// earlier start would win, and lead to a tap that is no more.
func addRules(from, to netlink.Link, rules []rule) error {
	ingress := &netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: from.Attrs().Index, Parent: netlink.HANDLE_INGRESS, Handle: netlink.MakeHandle(0xffff, 0),
	}}
	if err := netlink.QdiscAdd(ingress); errors.Is(err, unix.EEXIST) {
		if err := errors.Join(netlink.QdiscDel(ingress), netlink.QdiscAdd(ingress)); err != nil {
			return fmt.Errorf("replace ingress queue: %w", err)
		}
	} else if err != nil {
		return fmt.Errorf("add ingress queue: %w", err)
	}
	for n, r := range rules {
		filter := &netlink.U32{
			FilterAttrs: netlink.FilterAttrs{
				LinkIndex: from.Attrs().Index, Parent: ingress.Handle, Priority: uint16(n + 1), Protocol: r.protocol,
			},
			Sel: &netlink.TcU32Sel{Nkeys: uint8(len(r.keys)), Flags: nl.TC_U32_TERMINAL, Keys: r.keys},
		}
		if r.pass {
			filter.Actions = []netlink.Action{netlink.NewMirredAction(to.Attrs().Index)}
		} else {
			// A match without an action ends the search: the frame stays.
			filter.ClassId = netlink.MakeHandle(1, 1)
		}
		if err := netlink.FilterAdd(filter); err != nil {
			return fmt.Errorf("add rule %d: %w", n+1, err)
		}
	}
	return nil
}
