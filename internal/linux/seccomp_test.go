package linux

import (
	"errors"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSyscallFilter puts a filter on a thread and tries what it withholds.
func TestSyscallFilter(t *testing.T) {
	t.Parallel()
	arch := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	filter := SyscallFilter{
		Arch:  arch,
		Errno: unix.EPERM,
		Calls: []uint32{unix.SYS_SYNC, unix.SYS_KEYCTL},
		Flags: []SyscallFlags{
			{Call: unix.SYS_UNSHARE, Bits: unix.CLONE_NEWUSER},
			{Call: unix.SYS_DUP3, Bits: 8, Argument: 1, None: true},
		},
		Arguments: []SyscallArguments{
			{Call: unix.SYS_DUP3, Values: []SyscallArgument{{0, 1 << 20}, {2, unix.O_CLOEXEC}}},
			{Call: unix.SYS_FCHDIR, Values: []SyscallArgument{{0, 1 << 20}}},
		},
		Missing: []uint32{unix.SYS_CLONE3},
	}
	type result struct {
		withheld, flagged, unflagged, missing, other, second, none, neither error
		both, one, only, different                                          error
	}
	results := make(chan result)
	go onOtherThread(func() { // which ends with this function
		call := func(number, argument uintptr) error {
			if _, _, errno := unix.RawSyscall(number, argument, 0, 0); errno != 0 {
				return errno
			}
			return nil
		}
		call2 := func(number, argument uintptr) error {
			_, _, errno := unix.RawSyscall(number, ^uintptr(0), argument, 0)
			return errno
		}
		call3 := func(first, third uintptr) error {
			_, _, errno := unix.RawSyscall(unix.SYS_DUP3, first, 1, third)
			return errno
		}
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			panic(err)
		}
		if err := filter.Install(); err != nil {
			panic(err)
		}
		results <- result{
			call(unix.SYS_KEYCTL, ^uintptr(0)), call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER), call(unix.SYS_UNSHARE, 0),
			call(unix.SYS_CLONE3, 0), call(unix.SYS_GETPID, 0),
			call2(unix.SYS_DUP3, 9), call2(unix.SYS_DUP3, 0), call2(unix.SYS_DUP3, 1),
			call3(1<<20, unix.O_CLOEXEC), call3(1<<20, 0), call(unix.SYS_FCHDIR, 1<<20), call(unix.SYS_FCHDIR, 1<<21),
		}
	})
	r := <-results
	if !errors.Is(r.withheld, unix.EPERM) || !errors.Is(r.flagged, unix.EPERM) || !errors.Is(r.missing, unix.ENOSYS) {
		t.Errorf("withheld: %v, by a flag: %v, missing: %v", r.withheld, r.flagged, r.missing)
	}
	if !errors.Is(r.second, unix.EPERM) || !errors.Is(r.none, unix.EPERM) || !errors.Is(r.neither, unix.EBADF) {
		t.Errorf("by a second argument: %v, by none: %v, by neither: %v", r.second, r.none, r.neither)
	}
	if !errors.Is(r.both, unix.EPERM) || !errors.Is(r.one, unix.EBADF) || !errors.Is(r.only, unix.EPERM) || !errors.Is(r.different, unix.EBADF) {
		t.Errorf("by two arguments: %v, one of two: %v, by one: %v, by none of one: %v", r.both, r.one, r.only, r.different)
	}
	if r.unflagged != nil || r.other != nil {
		t.Errorf("allowed: %v, %v", r.unflagged, r.other)
	}
	if _, err := (SyscallFilter{Calls: make([]uint32, maxProgram/2)}).program(); err == nil {
		t.Error("a filter that is too long")
	}
}

// TestSyscallList puts a filter on a thread that allows more calls than one jump
// can skip, and tries what it does not list.
func TestSyscallList(t *testing.T) {
	t.Parallel()
	arch := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	filter := SyscallFilter{Arch: arch, Allow: true, Errno: unix.ENOTTY}
	for n := range uint32(600) {
		if n != unix.SYS_GETPID && n != unix.SYS_SYNC {
			filter.Calls = append(filter.Calls, n)
		}
	}
	results := make(chan [2]error)
	go onOtherThread(func() { // which ends with this function
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			panic(err)
		}
		if err := filter.Install(); err != nil {
			panic(err)
		}
		_, _, unlisted := unix.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
		_, _, listed := unix.RawSyscall(unix.SYS_GETUID, 0, 0, 0)
		results <- [2]error{unlisted, listed}
	})
	if r := <-results; !errors.Is(r[0], unix.ENOTTY) || r[1] != syscall.Errno(0) {
		t.Errorf("unlisted: %v, listed: %v", r[0], r[1])
	}
}
