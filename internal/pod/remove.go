package pod

import (
	"context"
	"errors"
	"fmt"
	"os"

	"rkt/internal/fault"
	"rkt/internal/linux"
	"rkt/internal/stage1"
)

// Remove deletes the pod now, whatever its age, unless it is alive:
// ErrRunning, ErrPreparing, or ErrDeleting.
func (c *Collector) Remove(ctx context.Context, p *Pod) error {
	for {
		ok, err := p.claim()
		if err != nil {
			return err
		}
		if ok {
			break
		}
		state, err := p.State()
		if err != nil {
			return err
		}
		switch state {
		case Embryo, Preparing:
			return ErrPreparing
		case Running:
			return ErrRunning
		case ExitedDeleting, Deleting:
			return ErrDeleting
		case AbortedPrepare, Prepared, Exited, ExitedGarbage, Garbage:
			// It was let go of meanwhile.
		}
	}
	if err := p.locate(); err != nil {
		return err
	}
	switch p.at {
	case embryo:
		return ErrPreparing
	case prepare:
		return c.removeNeverRun(p, MovedAborted)
	case prepared:
		return c.removeNeverRun(p, MovedPrepared)
	case run:
		if err := p.moveTo(exitedGarbage); err != nil {
			return err
		}
		return c.removeExited(ctx, p)
	case exitedGarbage:
		return c.removeExited(ctx, p)
	case garbage:
	}
	return p.erase()
}

func (c *Collector) removeNeverRun(p *Pod, event Event) error {
	if err := c.mark(p, garbage, event); err != nil {
		return err
	}
	return p.erase()
}

// erase removes the files of a pod in garbage: what its stage1 left first and
// the manifest last, so that a pod that could not be removed still says what it
// was. It unmounts nothing; at a mount it stops.
func (p *Pod) erase() (err error) {
	fault.Point("pod.erase.before")
	if err := p.releaseIDRange(); err != nil {
		return fmt.Errorf("give ids back: %w", err)
	}
	dir, err := os.Open(p.Path())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	if err := linux.RemoveTree(dir, "stage1"); err != nil {
		return err
	}
	fault.Point("pod.erase.stage1")
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == stage1.PodManifestFile {
			continue
		}
		if err := linux.RemoveTree(dir, name); err != nil {
			return err
		}
	}
	fault.Point("pod.erase.manifest")
	if err := linux.RemoveTree(dir, stage1.PodManifestFile); err != nil {
		return err
	}
	if err := os.Remove(p.Path()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	fault.Point("pod.erase.after")
	return linux.SyncDir(p.pods.placeDir(garbage))
}
