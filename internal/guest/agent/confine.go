//go:build linux

package agent

import (
	"fmt"
	"strings"

	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"

	"rkt/internal/guest/guestproto"
	"rkt/internal/guest/systemd"
)

// confinement is what keeps the app in. See systemd.exec(5).
func (u *unit) confinement() ([]systemd.Property, error) {
	c := u.req.Confinement
	properties := []systemd.Property{
		// Only what the app's /dev has, whatever it makes nodes of.
		{Name: "DevicePolicy", Value: "closed"},
	}
	if !c.GetAllCapabilities() {
		mask, err := capabilityMask(c.GetCapabilities())
		if err != nil {
			return nil, err
		}
		properties = append(properties, systemd.Property{Name: "CapabilityBoundingSet", Value: mask})
	}
	if c.GetSyscalls() != nil {
		properties = append(properties, filter(c.Syscalls)...)
		if u.container {
			properties = append(properties, closedUserNamespaces())
		}
	}
	return append(properties, systemd.Property{Name: "NoNewPrivileges", Value: u.noNewPrivileges()}), nil
}

// noNewPrivileges tells whether the app's programs can gain nothing. The
// kernel takes a filter of system calls only from those, root aside.
func (u *unit) noNewPrivileges() bool {
	c := u.req.Confinement
	return c.GetNoNewPrivileges() || c.GetSyscalls() != nil && u.uid != 0
}

// closedUserNamespaces does for one app by a filter what a machine's own kernel
// is told once for all.
func closedUserNamespaces() systemd.Property {
	const others = uint64(unix.CLONE_NEWCGROUP | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWNS |
		unix.CLONE_NEWPID | unix.CLONE_NEWUTS)
	return systemd.Property{Name: "RestrictNamespaces", Value: others}
}

// capabilityMask returns the set that names like CAP_CHOWN stand for.
func capabilityMask(names []string) (uint64, error) {
	known := map[string]capability.Cap{}
	for _, c := range capability.ListKnown() {
		known["CAP_"+strings.ToUpper(c.String())] = c
	}
	var mask uint64
	for _, name := range names {
		c, ok := known[name]
		if !ok {
			return 0, fmt.Errorf("unknown capability %q", name)
		}
		mask |= 1 << uint(c)
	}
	return mask, nil
}

// syscallFilter is a list of system calls, allowed or withheld.
type syscallFilter struct {
	Allow bool
	Calls []string
}

// filter returns a filter of system calls as systemd wants it.
func filter(f *guestproto.SyscallFilter) []systemd.Property {
	return []systemd.Property{
		{Name: "SystemCallFilter", Value: syscallFilter{f.Allow, f.Names}},
		{Name: "SystemCallErrorNumber", Value: f.Errno},
	}
}
