package linux

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Uevents tells that the kernel's devices have changed. What has changed is
// for the caller to look up: a message may be lost, that there was one is not.
type Uevents struct{ f *os.File }

// NewUevents listens from now on. It must be closed.
func NewUevents() (*Uevents, error) {
	const flags = unix.SOCK_DGRAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	fd, err := unix.Socket(unix.AF_NETLINK, flags, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	const fromKernel = 1 // the group that nobody but the kernel sends to
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: fromKernel}); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return &Uevents{os.NewFile(uintptr(fd), "uevents")}, nil
}

// Wait returns when a device has changed since NewUevents or since Wait
// returned last, or when ctx is done, with its cause.
func (u *Uevents) Wait(ctx context.Context) error {
	if err := u.f.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = u.f.SetReadDeadline(time.Now()) })
	defer stop()
	var message [8 * 1024]byte
	_, err := u.f.Read(message[:])
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return context.Cause(ctx)
	case errors.Is(err, unix.ENOBUFS):
		return nil // some were lost
	}
	return err
}

// Close ends the listening.
func (u *Uevents) Close() error { return u.f.Close() }
