package seccomp

import (
	"fmt"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"rkt/internal/appc"
	"rkt/internal/syscalls"
)

// Filter withholds system calls from an app.
type Filter struct {
	// Allow says that Calls are all that the app may use. Otherwise it may use
	// all but these.
	Allow bool
	Calls []string // sorted
	// Errno is what a call fails with that is withheld.
	Errno syscall.Errno
}

// Default returns the filter for an app without isolators for system calls,
// which has some capabilities.
func Default(capabilities []string) *Filter {
	return &Filter{Calls: sorted(withheld(capabilities)), Errno: unix.EPERM}
}

// For returns the filter for an app whose isolator is given, nil for none. It is
// nil if the app may use all system calls. Names of calls that no machine has are
// left out, because images name calls of other machines and of newer kernels;
// Unknown returns them.
func For(isolator *appc.SystemCalls, capabilities []string) (*Filter, error) {
	if isolator == nil || !isolator.Retain && slices.Equal(isolator.Set, []string{nothing}) {
		return Default(capabilities), nil
	}
	errno, err := parseErrno(isolator.Errno)
	if err != nil {
		return nil, err
	}
	var calls set
	for _, name := range isolator.Set {
		more, err := lookUp(name, capabilities)
		if err != nil {
			return nil, err
		}
		calls = calls.union(more)
	}
	if !isolator.Retain {
		calls.allBut = !calls.allBut // what is left to the app
	}
	switch {
	case !calls.allBut:
		// Without these no program gets as far as its first instruction.
		return &Filter{Allow: true, Calls: sorted(append(calls.names, always()...)), Errno: errno}, nil
	case len(calls.names) == 0:
		return nil, nil
	}
	return &Filter{Calls: sorted(calls.names), Errno: errno}, nil
}

// withheld returns what the default filter withholds.
func withheld(capabilities []string) []string {
	return syscalls.Withheld(func(c string) bool { return slices.Contains(capabilities, c) })
}

// parseErrno returns the error that a name such as EPERM stands for.
func parseErrno(name string) (syscall.Errno, error) {
	switch name {
	case "":
		return unix.EPERM, nil
	// Errors with two names.
	case "EOPNOTSUPP":
		return unix.EOPNOTSUPP, nil
	case "EWOULDBLOCK":
		return unix.EWOULDBLOCK, nil
	case "EDEADLOCK":
		return unix.EDEADLK, nil
	}
	for n := syscall.Errno(1); n < maxErrno; n++ {
		if unix.ErrnoName(n) == name {
			return n, nil
		}
	}
	return 0, fmt.Errorf("errno: %q is not the name of an error, such as EPERM", name)
}

// maxErrno is more than any error of Linux. Source: MAX_ERRNO, 4095, is what a
// filter may return; the highest that has a name is EHWPOISON, 133.
const maxErrno = 256

// Check finds fault with an isolator that was typed by a person rather than
// carried by an image: there, a name that no machine has is a mistake.
func Check(isolator *appc.SystemCalls) error {
	if names := Unknown(isolator); len(names) > 0 {
		return fmt.Errorf("%q is not a system call", names[0])
	}
	_, err := For(isolator, nil)
	return err
}

// Unknown returns the names in an isolator that are neither system calls of any
// machine nor sets of them.
func Unknown(isolator *appc.SystemCalls) []string {
	if isolator == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(isolator.Set), func(name string) bool {
		return name == "" || name[0] == '@' || isCall(name)
	})
}

func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}
