package linux

import (
	"errors"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSyscallFilter puts a filter on a thread and tries what it withholds.
func TestSyscallFilter(t *testing.T) {
	t.Parallel()
	arch := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	filter := SyscallFilter{
		Arch:    arch,
		Calls:   []uint32{unix.SYS_SYNC, unix.SYS_KEYCTL},
		Flags:   []SyscallFlags{{unix.SYS_UNSHARE, unix.CLONE_NEWUSER}},
		Missing: []uint32{unix.SYS_CLONE3},
	}
	type result struct{ withheld, flagged, unflagged, missing, other error }
	results := make(chan result)
	go onOtherThread(func() { // which ends with this function
		call := func(number, argument uintptr) error {
			if _, _, errno := unix.RawSyscall(number, argument, 0, 0); errno != 0 {
				return errno
			}
			return nil
		}
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			panic(err)
		}
		if err := filter.install(); err != nil {
			panic(err)
		}
		results <- result{
			call(unix.SYS_KEYCTL, ^uintptr(0)), call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER), call(unix.SYS_UNSHARE, 0),
			call(unix.SYS_CLONE3, 0), call(unix.SYS_GETPID, 0),
		}
	})
	r := <-results
	if !errors.Is(r.withheld, unix.EPERM) || !errors.Is(r.flagged, unix.EPERM) || !errors.Is(r.missing, unix.ENOSYS) {
		t.Errorf("withheld: %v, by a flag: %v, missing: %v", r.withheld, r.flagged, r.missing)
	}
	if r.unflagged != nil || r.other != nil {
		t.Errorf("allowed: %v, %v", r.unflagged, r.other)
	}
	if _, err := (SyscallFilter{Calls: make([]uint32, maxFilterCalls+1)}).program(); err == nil {
		t.Error("a filter that is too long")
	}
}
