package seccomp

import (
	"slices"

	"golang.org/x/sys/unix"

	"rkt/internal/syscalls"
)

// Container returns the filters that a whole container with some capabilities is
// under, in the order in which they are to be installed. Calls that nobody knows
// seem not to exist; if all are wanted, no others are withheld.
func Container(has func(capability string) bool, all bool) []*Filter {
	filters := []*Filter{{Allow: true, Calls: known(syscalls.ContainerMissing()), Errno: unix.ENOSYS}}
	if all {
		return filters
	}
	return append(filters, &Filter{Calls: sorted(syscalls.ContainerWithheld(has)), Errno: unix.EPERM})
}

// Sockets returns the numbers of the call that makes a socket of a kind that its
// arguments name.
func Sockets() []Numbers { return (&Filter{Allow: true, Calls: []string{"socket"}}).Numbers() }

// known returns all system calls of this kind of machine but some.
func known(missing []string) []string {
	var names []string
	for _, machine := range machines() {
		for _, name := range machine.SyscallNumbers {
			if !slices.Contains(missing, name) {
				names = append(names, name)
			}
		}
	}
	return sorted(names)
}
