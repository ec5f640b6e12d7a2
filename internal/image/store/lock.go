package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"rkt/internal/linux"
)

// lock is an exclusive lock by name. Its file exists while the lock is held,
// and afterwards only if the holder was killed, so that a file without a holder
// tells that something was left undone.
type lock struct {
	f    *os.File
	path string
}

// lock waits for the lock name in one of the lock directories.
func (s *Store) lock(ctx context.Context, dir, name string) (*lock, error) {
	return lockPath(ctx, filepath.Join(s.dir, dir, name), func() {})
}

// lockPath waits for the lock whose file is at path; waiting is called if it has
// to.
func lockPath(ctx context.Context, path string, waiting func()) (*lock, error) {
	for {
		// Reading is enough to lock, and all that the group may do with a lock
		// of another user's.
		f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, fileMode)
		if err != nil {
			return nil, err
		}
		free, err := linux.TryLockExclusive(f)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if !free {
			waiting()
			if err := waitFlock(ctx, f); err != nil {
				return nil, err
			}
		}
		if l := heldAt(f, path); l != nil {
			return l, nil
		}
	}
}

// waitFlock locks f. If it gives up it closes f, once the waiting that cannot
// be stopped has ended.
func waitFlock(ctx context.Context, f *os.File) error {
	done := make(chan error, 1)
	go func() { done <- linux.LockExclusive(f) }()
	select {
	case err := <-done:
		if err != nil {
			return errors.Join(err, f.Close())
		}
		return nil
	case <-ctx.Done():
		go func() {
			<-done
			_ = f.Close()
		}()
		return context.Cause(ctx)
	}
}

// heldAt returns the lock if the locked file f is still the one at path. A
// holder removes the file before it lets go, and then f is a lock on nothing
// and is closed.
func heldAt(f *os.File, path string) *lock {
	open, err := f.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Stat(path); err == nil && os.SameFile(open, there) {
			return &lock{f, path}
		}
	}
	_ = f.Close()
	return nil
}

// release lets go of the lock and says that nothing was left undone.
func (l *lock) release() {
	_ = os.Remove(l.path)
	_ = l.f.Close()
}

// abandon lets go of the lock and leaves its file, for the next process to
// clean up.
func (l *lock) abandon() { _ = l.f.Close() }

// sweepLocks calls finish for the name of each lock whose holder was killed,
// and removes the lock.
func (s *Store) sweepLocks(dir string, finish func(name string) error) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, dir))
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(s.dir, dir, e.Name())
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return err
		}
		if ok, err := linux.TryLockExclusive(f); !ok {
			if err = errors.Join(err, f.Close()); err != nil {
				return err
			}
			continue
		}
		l := heldAt(f, path)
		if l == nil {
			continue
		}
		if err := finish(e.Name()); err != nil {
			l.abandon()
			return err
		}
		l.release()
	}
	return nil
}
