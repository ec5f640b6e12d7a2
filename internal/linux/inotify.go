package linux

import (
	"cmp"
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Changes of a directory's entries that Watch.Add asks for: made, renamed to
// or from it, removed, the directory itself removed or renamed.
const dirChanges = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM |
	unix.IN_DELETE | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF

// Watch waits for changes in directories.
type Watch struct{ f *os.File }

// NewWatch returns a Watch of no directory yet. It must be closed.
func NewWatch() (*Watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	return &Watch{os.NewFile(uintptr(fd), "inotify")}, nil
}

// Add watches the directory at path from now on. A directory that was added
// before stays watched once.
func (w *Watch) Add(path string) error { return w.add(path, dirChanges) }

// AddContents watches the directory at path like Add, and the contents of its
// files, too.
func (w *Watch) AddContents(path string) error { return w.add(path, dirChanges|unix.IN_MODIFY) }

func (w *Watch) add(path string, changes uint32) error {
	conn, err := w.f.SyscallConn()
	if err != nil {
		return err
	}
	var addErr error
	err = conn.Control(func(fd uintptr) { _, addErr = unix.InotifyAddWatch(int(fd), path, changes) })
	return wrapPath("watch", path, cmp.Or(addErr, err))
}

// Wait returns when something has changed since the directories were added or
// since Wait returned last, or when ctx is done, with its cause.
func (w *Watch) Wait(ctx context.Context) error {
	if err := w.f.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = w.f.SetReadDeadline(time.Now()) })
	defer stop()
	var events [16 * 1024]byte
	_, err := w.f.Read(events[:])
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return context.Cause(ctx)
	}
	return err
}

// Close ends the watching.
func (w *Watch) Close() error { return w.f.Close() }
