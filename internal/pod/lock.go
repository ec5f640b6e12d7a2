package pod

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"rkt/internal/linux"
)

// openLock opens one of the data directory's lock files.
func (ps *Pods) openLock(name string) (*os.File, error) {
	dir := filepath.Join(ps.data, "locks")
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, fileMode)
}

// claim takes the pod's lock unless somebody else has it.
func (p *Pod) claim() (bool, error) {
	if p.held {
		return true, nil
	}
	ok, err := linux.ClaimLock(p.dir)
	p.held = ok
	return ok, err
}

// locked tells whether anybody has the pod's lock.
func (p *Pod) locked() (bool, error) {
	if p.held {
		return true, nil // probing would give it away
	}
	free, err := linux.TryLockShared(p.dir)
	if free {
		err = linux.Unlock(p.dir)
	}
	return !free, err
}

// waitUnlocked returns when nobody has the pod's lock, or when ctx is done.
func (p *Pod) waitUnlocked(ctx context.Context) error {
	if p.held {
		return errors.New("waiting for a lock of its own")
	}
	if err := linux.LockShared(ctx, p.dir); err != nil {
		return err
	}
	return linux.Unlock(p.dir)
}

// LockPreparing keeps the collector of images from removing what a pod that is
// being prepared is about to name. It waits for a running collection. Other
// preparations go on beside it.
func (ps *Pods) LockPreparing(ctx context.Context) (release func() error, err error) {
	lock, err := ps.openLock("prepareLock")
	if err != nil {
		return nil, err
	}
	if err := linux.LockShared(ctx, lock); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock.Close, nil
}

// LockCollecting keeps pods from being prepared while images are removed. It
// waits for preparations under way. Who may not make the lock's file may still
// lock it.
func (ps *Pods) LockCollecting(ctx context.Context) (release func() error, err error) {
	lock, err := ps.openLock("prepareLock")
	if errors.Is(err, os.ErrPermission) {
		lock, err = os.Open(filepath.Join(ps.data, "locks", "prepareLock"))
	}
	if errors.Is(err, os.ErrNotExist) {
		return func() error { return nil }, nil // nobody has ever prepared a pod here
	}
	if err != nil {
		return nil, err
	}
	if err := linux.AwaitExclusive(ctx, lock); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock.Close, nil
}
