package network

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"rkt/internal/fault"
	"rkt/internal/linux"
)

// Taps makes a tap for each interface, in their order, and joins the two, so
// that what a machine does with the tap it does with the interface. A machine
// must use the interface's MAC and MTU; what it sends from another address
// than the interface's comes back to it.
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
	toMachine := verdicts{pass: redirectTo(tap)}
	fromMachine := verdicts{pass: redirectTo(outside), stop: redirectTo(tap)}
	err = errors.Join(addRules(outside, []rule{everything()}, toMachine), addRules(tap, rules, fromMachine))
	if err != nil {
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
