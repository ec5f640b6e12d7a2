package lkvm

import (
	"errors"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestFilter puts lkvm's filter on a thread and tries what lkvm does and what
// somebody would who has taken it over.
func TestFilter(t *testing.T) {
	t.Parallel()
	filter, err := systemCalls()
	if err != nil {
		t.Fatal(err)
	}
	const no = ^uintptr(0) // no call does anything with it
	tests := []struct {
		name      string
		call      uintptr
		arguments [2]uintptr
		want      error
	}{
		// As of threads, but the kernel wants more than that.
		{"a thread", unix.SYS_CLONE, [2]uintptr{unix.CLONE_THREAD}, unix.EINVAL},
		{"a process", unix.SYS_CLONE, [2]uintptr{uintptr(unix.SIGCHLD)}, unix.EPERM},
		{"a process that is root of its own", unix.SYS_CLONE, [2]uintptr{unix.CLONE_NEWUSER}, unix.EPERM},
		{"clone3", unix.SYS_CLONE3, [2]uintptr{}, unix.ENOSYS},
		{"its socket", unix.SYS_SOCKET, [2]uintptr{unix.AF_UNIX, no}, unix.EINVAL},
		{"a tap's socket", unix.SYS_SOCKET, [2]uintptr{unix.AF_INET, no}, unix.EINVAL},
		{"netlink", unix.SYS_SOCKET, [2]uintptr{unix.AF_NETLINK, no}, unix.EPERM},
		{"other machines", unix.SYS_SOCKET, [2]uintptr{unix.AF_VSOCK, no}, unix.EPERM},
		{"a family that the kernel takes for netlink", unix.SYS_SOCKET, [2]uintptr{1<<32 | unix.AF_NETLINK, no}, unix.EPERM},
		{"unshare", unix.SYS_UNSHARE, [2]uintptr{no}, unix.EPERM},
		{"mount", unix.SYS_MOUNT, [2]uintptr{}, unix.EPERM},
		{"connect", unix.SYS_CONNECT, [2]uintptr{no}, unix.EPERM},
		{"read", unix.SYS_READ, [2]uintptr{no}, unix.EBADF},
	}
	got := make([]unix.Errno, len(tests))
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // which ends with this function
		program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		err := errors.Join(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
			unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0))
		for i, test := range tests {
			if err == nil {
				_, _, got[i] = unix.RawSyscall(test.call, test.arguments[0], test.arguments[1], 0)
			}
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i, test := range tests {
		if !errors.Is(got[i], test.want) {
			t.Errorf("%s: %v, want %v", test.name, got[i], test.want)
		}
	}
}
