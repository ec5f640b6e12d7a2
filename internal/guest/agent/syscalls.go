//go:build linux

package agent

import (
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rkt/internal/linux"
)

// convention is one way in which programs call the kernel.
type convention struct {
	arch   uint32
	column int    // of syscallNumbers
	mask   uint32 // added to each number
}

// syscallFilters returns the filters of calls by name that systemd makes of
// them, for a program that systemd does not start.
func syscallFilters(names []string) []linux.SyscallFilter {
	var filters []linux.SyscallFilter
	for _, c := range conventions() {
		f := linux.SyscallFilter{Arch: c.arch}
		for line := range strings.Lines(syscallNumbers) {
			fields := strings.Fields(line)
			if len(fields) <= 1+c.column || !slices.Contains(names, fields[0]) {
				continue
			}
			if number, err := strconv.ParseUint(fields[1+c.column], 10, 32); err == nil {
				f.Calls = append(f.Calls, uint32(number)|c.mask)
			}
		}
		filters = append(filters, f)
	}
	return filters
}

// userNamespaceFilter does what closedUserNamespaces tells systemd to do. Where
// a call's flags can't be looked at, systemd lets it seem not to exist.
func userNamespaceFilter() linux.SyscallFilter {
	return linux.SyscallFilter{
		Arch: conventions()[0].arch,
		Flags: []linux.SyscallFlags{
			{Call: unix.SYS_CLONE, Bits: unix.CLONE_NEWUSER}, {Call: unix.SYS_UNSHARE, Bits: unix.CLONE_NEWUSER},
		},
		Missing: []uint32{unix.SYS_CLONE3},
	}
}
