package linux

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// MakeNetNamespace makes a network namespace that outlives every process: it is
// mounted on the file path, which is made. Prepare is run inside before it can
// be found there.
func MakeNetNamespace(path string, prepare func() error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return onThreadToDiscard(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		if err := prepare(); err != nil {
			return err
		}
		return wrapPath("mount", path, unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, ""))
	})
}

// InNetNamespace runs f on a thread in the network namespace at path.
// Goroutines that f starts are not in it; files and sockets that f opens
// belong to it for good.
func InNetNamespace(path string, f func() error) error {
	ns, err := os.Open(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	return onThreadToDiscard(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return &os.PathError{Op: "enter network namespace", Path: path, Err: err}
		}
		return f()
	})
}

// IsNetNamespace says whether a namespace is mounted on the file path.
func IsNetNamespace(path string) (bool, error) {
	var st unix.Statfs_t
	err := unix.Statfs(path, &st)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil && st.Type == unix.NSFS_MAGIC, wrapPath("statfs", path, err)
}

// RemoveNetNamespace unmounts the namespace at path and removes the file.
// Nothing there is no error. The namespace itself goes away when nobody is in it.
func RemoveNetNamespace(path string) error {
	for {
		mounted, err := IsNetNamespace(path)
		if err != nil {
			return err
		}
		if !mounted {
			break
		}
		if err := Unmount(path); err != nil {
			return err
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// onThreadToDiscard runs f on a thread of its own, which ends with it, so that
// f may change what belongs to the thread.
func onThreadToDiscard(f func() error) error {
	done := make(chan error)
	go onOtherThread(func() { done <- f() })
	return <-done
}
