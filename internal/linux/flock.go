package linux

import (
	"context"
	"errors"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// ClaimLock steps around readers so often, at first without a pause: most have let
// go by then. One that the machine is too busy to run needs more time.
const (
	maxClaims   = 10_000
	eagerClaims = 100
	claimPause  = time.Millisecond
)

// LockExclusive waits until it has f's flock(2) exclusively. The lock belongs
// to the open file description: it lives until the last descriptor made from
// f, in whatever process, is closed.
func LockExclusive(f *os.File) error { return flock(f, unix.LOCK_EX) }

// AwaitExclusive is LockExclusive that gives up when ctx is done. In that case f
// may get the lock later all the same, and must be closed.
func AwaitExclusive(ctx context.Context, f *os.File) error { return await(ctx, f, unix.LOCK_EX) }

// LockShared waits until it has f's flock(2) together with other sharers, or
// ctx is done. In the second case f may get the lock later all the same, and
// must be closed.
func LockShared(ctx context.Context, f *os.File) error { return await(ctx, f, unix.LOCK_SH) }

func await(ctx context.Context, f *os.File, how int) error {
	if ok, err := tryFlock(f, how); ok || err != nil {
		return err
	}
	// The descriptor of its own lets the waiting outlive f; the lock is f's.
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	twin := os.NewFile(uintptr(fd), f.Name())
	done := make(chan error, 1)
	go func() { done <- errors.Join(flock(twin, how), twin.Close()) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// TryLockExclusive takes f's flock(2) exclusively unless anybody else has it
// in any way; it tells whether it did.
func TryLockExclusive(f *os.File) (bool, error) { return tryFlock(f, unix.LOCK_EX) }

// TryLockShared takes f's flock(2) together with other sharers unless somebody
// else has it exclusively; it tells whether it did.
func TryLockShared(f *os.File) (bool, error) { return tryFlock(f, unix.LOCK_SH) }

// ClaimLock takes f's flock(2) exclusively unless somebody else has it
// exclusively; it tells whether it did. Sharers only probe the lock and let go
// at once, so they are no reason to give up before they have had many seconds for
// it. (To wait for them with the kernel's help would be to wait for a pod that
// takes the lock meanwhile, too.)
func ClaimLock(f *os.File) (bool, error) {
	for i := range maxClaims {
		if ok, err := TryLockExclusive(f); ok || err != nil {
			return ok, err
		}
		shared, err := TryLockShared(f)
		if !shared || err != nil {
			return false, err
		}
		if err := Unlock(f); err != nil {
			return false, err
		}
		if i < eagerClaims {
			runtime.Gosched()
		} else {
			time.Sleep(claimPause)
		}
	}
	return false, nil
}

// Unlock lets go of f's flock(2).
func Unlock(f *os.File) error { return flock(f, unix.LOCK_UN) }

// KeepOverExec makes f's descriptor survive an exec of this process and
// returns its number.
func KeepOverExec(f *os.File) (int, error) {
	fd := int(f.Fd())
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
		return 0, os.NewSyscallError("fcntl", err)
	}
	return fd, nil
}

func tryFlock(f *os.File, how int) (bool, error) {
	err := flock(f, how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return wrapPath("flock", f.Name(), err)
		}
	}
}

// wrapPath says what was tried on which path; a nil err stays nil.
func wrapPath(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: path, Err: err}
}
