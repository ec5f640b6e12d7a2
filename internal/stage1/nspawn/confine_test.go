package nspawn

import (
	"errors"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// verdicts is what some system calls lead to under a container's filters.
type verdicts struct{ key, clock, unknown, own, audit, route error }

// tried tries system calls on a thread under the filters, which ends afterwards.
func tried(t *testing.T, c confinement) verdicts {
	t.Helper()
	results := make(chan verdicts)
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()                                  // and never unlocked
		err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) // this may not be root
		if err == nil {
			err = c.withholdCalls()
		}
		if err != nil {
			failed <- err
			return
		}
		// With arguments that are good for nothing, so that nothing happens.
		call := func(number, a, b, c uintptr) error {
			fd, _, errno := unix.RawSyscall(number, a, b, c)
			if errno != 0 {
				return errno
			}
			if number == unix.SYS_SOCKET {
				return unix.Close(int(fd))
			}
			return nil
		}
		const unused = 700 // far beyond the last number, and below those of x32
		results <- verdicts{
			key:     call(unix.SYS_KEYCTL, ^uintptr(0), 0, 0),
			clock:   call(unix.SYS_CLOCK_SETTIME, ^uintptr(0), 0, 0),
			unknown: call(unused, 0, 0, 0),
			own:     call(unix.SYS_GETPID, 0, 0, 0),
			audit:   call(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT),
			route:   call(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE),
		}
	}()
	select {
	case r := <-results:
		return r
	case err := <-failed:
		t.Fatal(err)
		return verdicts{}
	}
}

// TestWithheldCalls puts threads under the filters of containers, and tries.
func TestWithheldCalls(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		confinement confinement
		key, clock  bool // withheld
	}{
		"usual":             {confinement{}, true, true},
		"with a capability": {confinement{Capabilities: []string{"CAP_KILL", "CAP_SYS_TIME"}}, true, false},
		"all capabilities":  {confinement{AllCapabilities: true}, true, false},
		"all system calls":  {confinement{AllCalls: true}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := tried(t, c.confinement)
			// Without the filter these fail otherwise: no such operation, no such clock.
			if errors.Is(got.key, unix.EPERM) != c.key || errors.Is(got.clock, unix.EPERM) != c.clock {
				t.Errorf("keyctl: %v, clock_settime: %v", got.key, got.clock)
			}
			if !errors.Is(got.unknown, unix.ENOSYS) || !errors.Is(got.audit, unix.EAFNOSUPPORT) {
				t.Errorf("a call that nobody knows: %v, a socket of the audit system: %v", got.unknown, got.audit)
			}
			if got.own != nil || got.route != nil {
				t.Errorf("getpid: %v, another socket: %v", got.own, got.route)
			}
		})
	}
}
