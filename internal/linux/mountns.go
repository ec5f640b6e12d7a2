package linux

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// MountNamespace is a thread in a mount namespace of its own, which starts as
// a copy of the process's. What is mounted there shows nowhere else, and what
// is mounted elsewhere later doesn't show there; files are the same.
type MountNamespace struct{ work chan<- func() }

// NewMountNamespace makes a mount namespace. It must be closed, and goes away
// with what is mounted in it when nobody has a file of it open any more.
func NewMountNamespace() (MountNamespace, error) {
	work := make(chan func())
	entered := make(chan error)
	go func() {
		// Never unlocked: the thread ends with this, and so does the namespace.
		runtime.LockOSThread()
		err := leaveMountNamespace()
		entered <- err
		if err != nil {
			return
		}
		for f := range work {
			f()
		}
	}()
	if err := <-entered; err != nil {
		return MountNamespace{}, err
	}
	return MountNamespace{work}, nil
}

func leaveMountNamespace() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	return wrapPath("make private", "/", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
}

// Do runs f in the namespace, one at a time. Goroutines that f starts are not
// in it.
func (ns MountNamespace) Do(f func() error) error {
	done := make(chan error)
	ns.work <- func() { done <- f() }
	return <-done
}

// Close ends the namespace.
func (ns MountNamespace) Close() { close(ns.work) }

// OwnMounts returns the mount namespace of the calling thread, for JoinMounts.
func OwnMounts() (*os.File, error) { return os.Open("/proc/thread-self/ns/mnt") }

// JoinMounts moves the calling thread, which must be locked and end with its
// goroutine, into a mount namespace.
func JoinMounts(namespace *os.File) error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	return os.NewSyscallError("setns", unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNS))
}
