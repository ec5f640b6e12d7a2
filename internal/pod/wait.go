package pod

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"rkt/internal/linux"
	"rkt/internal/stage1"
)

// errFinished ends the waiting for a pod that will not get ready any more.
var errFinished = errors.New("the pod has finished")

// WaitFinished returns when the pod will not run any more, or when ctx is done,
// with its cause.
func (p *Pod) WaitFinished(ctx context.Context) error {
	moved, err := linux.NewWatch()
	if err != nil {
		return err
	}
	defer moved.Close()
	for _, at := range []place{embryo, prepare, prepared} {
		if err := moved.Add(p.pods.placeDir(at)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	for {
		state, err := p.State()
		if errors.Is(err, ErrGone) || err == nil && state.Finished() {
			return nil
		}
		switch {
		case err != nil:
		case state == Running || state == Preparing:
			err = p.waitUnlocked(ctx)
		default:
			err = moved.Wait(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// WaitReady returns when the pod's stage1 has started the apps, when the pod
// will not run any more, or when ctx is done, with its cause.
func (p *Pod) WaitReady(ctx context.Context) error {
	twin, err := p.pods.find(p.UUID, allPlaces())
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer twin.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		if err := twin.WaitFinished(ctx); err == nil {
			cancel(errFinished)
		}
	}()
	err = p.waitSupervisor(ctx)
	cancel(nil)
	<-finished
	if errors.Is(err, errFinished) {
		return nil
	}
	return err
}

// waitSupervisor returns when the file appears that says that apps run.
func (p *Pod) waitSupervisor(ctx context.Context) error {
	changed, err := linux.NewWatch()
	if err != nil {
		return err
	}
	defer changed.Close()
	for {
		// Every directory on the way may still be missing.
		for dir := filepath.Dir(stage1.SupervisorStatus); ; dir = filepath.Dir(dir) {
			path := filepath.Join(p.Directory(), dir)
			if err := changed.Add(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			if dir == "." {
				break
			}
		}
		_, err := p.root.Lstat(stage1.SupervisorStatus)
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := changed.Wait(ctx); err != nil {
			return err
		}
	}
}
