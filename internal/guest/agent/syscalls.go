//go:build linux

package agent

import (
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"rkt/internal/guest/guestproto"
	"rkt/internal/linux"
)

// syscallFilters returns the filters that systemd makes of a list of calls, for a
// program that systemd does not start. The list has this machine's own way of
// calling the kernel first. That comes last here: once it is in place, the call that
// installs filters may be withheld.
func syscallFilters(list *guestproto.SyscallFilter) []linux.SyscallFilter {
	var filters []linux.SyscallFilter
	for _, n := range slices.Backward(list.Numbers) {
		filters = append(filters, linux.SyscallFilter{
			Arch: n.Arch, Allow: list.Allow, Calls: n.Calls, Errno: syscall.Errno(list.Errno),
		})
	}
	return filters
}

// userNamespaceFilters do what closedUserNamespaces tells systemd to do. Where
// a call's flags can't be looked at, systemd lets it seem not to exist.
func userNamespaceFilters() []linux.SyscallFilter {
	var filters []linux.SyscallFilter
	for _, c := range namespaceCalls() {
		filters = append(filters, linux.SyscallFilter{
			Arch:  c.arch,
			Errno: unix.EPERM,
			Flags: []linux.SyscallFlags{
				{Call: c.clone, Bits: unix.CLONE_NEWUSER},
				{Call: c.unshare, Bits: unix.CLONE_NEWUSER},
				{Call: c.setns, Bits: unix.CLONE_NEWUSER, Argument: 1, None: true},
			},
			Missing: []uint32{c.clone3},
		})
	}
	return filters
}

// calls are the numbers of system calls for one way of calling the kernel.
type calls struct{ arch, clone, unshare, setns, clone3 uint32 }

// namespaceCalls returns the system calls that make and join namespaces. Source:
// the kernel's tables, arch/x86/entry/syscalls and arch/arm/tools.
func namespaceCalls() []calls {
	if runtime.GOARCH == "arm64" {
		return []calls{{unix.AUDIT_ARCH_AARCH64, 220, 97, 268, 435}, {unix.AUDIT_ARCH_ARM, 120, 337, 375, 435}}
	}
	const x32 = 1 << 30
	return []calls{
		{unix.AUDIT_ARCH_X86_64, 56, 272, 308, 435},
		{unix.AUDIT_ARCH_X86_64, x32 | 56, x32 | 272, x32 | 308, x32 | 435},
		{unix.AUDIT_ARCH_I386, 120, 310, 346, 435},
	}
}
