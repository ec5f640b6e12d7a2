package pod

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Event is something that Collect or Remove has done or not done.
type Event int

// All events.
const (
	MovedExited   Event = iota // an ended pod was marked for deletion
	MovedAborted               // a failed preparation was marked for deletion
	MovedPrepared              // a pod that was prepared but never run was marked
	Removing                   // an ended pod is being deleted
	InGrace                    // an ended pod is kept for now
	NoStage1                   // an ended pod's stage1 is gone and can't clean up
)

// Collector deletes pods that nobody needs any more.
type Collector struct {
	Pods *Pods
	Call Call
	// GracePeriod is how long ended pods are kept after they were marked.
	GracePeriod time.Duration
	// ExpirePrepared is how long pods are kept that were never run.
	ExpirePrepared time.Duration
	// MarkOnly leaves deleting for another time.
	MarkOnly bool
	// Notify is told what happens to which pod.
	Notify func(Event, string)
	// Now tells the time.
	Now func() time.Time
}

// Collect marks pods and deletes those whose time has come. It goes on after a
// pod that it could not deal with, whose error is returned; that pod stays for
// another try.
func (c *Collector) Collect(ctx context.Context) []error {
	steps := []struct {
		at   place
		do   func(context.Context, *Pod) error
		mark bool
	}{
		{run, c.markExited, true},
		{prepare, c.markAborted, true},
		{embryo, c.markEmbryo, true},
		{prepared, c.markPrepared, false},
		{exitedGarbage, c.collectExited, false},
		{garbage, c.collectGarbage, false},
	}
	var all []error
	for _, step := range steps {
		if step.mark || !c.MarkOnly {
			all = append(all, c.each(ctx, step.at, step.do)...)
		}
	}
	if ctx.Err() != nil {
		all = append(all, context.Cause(ctx))
	}
	return all
}

// each does something with every pod in a place that this process can lock.
// The others are alive, or somebody else is at it.
func (c *Collector) each(ctx context.Context, at place, do func(context.Context, *Pod) error) []error {
	var errs []error
	for p, err := range c.Pods.in(at) {
		if err == nil {
			err = c.one(ctx, p, at, do)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func (c *Collector) one(ctx context.Context, p *Pod, at place, do func(context.Context, *Pod) error) error {
	defer p.Close()
	if ctx.Err() != nil {
		return nil // Collect says so once
	}
	err := p.claimed(at, func() error { return do(ctx, p) })
	if err == nil || errors.Is(err, ErrGone) {
		return nil
	}
	return fmt.Errorf("pod %q: %w", p.UUID, err)
}

// claimed calls do if the pod can be locked and is still in the place. The lock
// is held until the pod is closed.
func (p *Pod) claimed(at place, do func() error) error {
	ok, err := p.claim()
	if !ok || err != nil {
		return err
	}
	if err := p.locate(); err != nil || p.at != at {
		return err
	}
	return do()
}

func (c *Collector) markExited(_ context.Context, p *Pod) error {
	return c.mark(p, exitedGarbage, MovedExited)
}

func (c *Collector) markAborted(_ context.Context, p *Pod) error {
	return c.mark(p, garbage, MovedAborted)
}

// markEmbryo clears away what a killed process left before the pod had become
// visible. One that is just being made notices and makes another.
func (c *Collector) markEmbryo(_ context.Context, p *Pod) error {
	return c.mark(p, garbage, MovedAborted)
}

func (c *Collector) markPrepared(_ context.Context, p *Pod) error {
	age, err := c.age(p)
	if err != nil || age < c.ExpirePrepared {
		return err
	}
	return c.mark(p, garbage, MovedPrepared)
}

func (c *Collector) mark(p *Pod, to place, event Event) error {
	c.Notify(event, p.UUID)
	return p.moveTo(to)
}

func (c *Collector) collectExited(ctx context.Context, p *Pod) error {
	age, err := c.age(p)
	if err != nil {
		return err
	}
	if age < c.GracePeriod {
		c.Notify(InGrace, p.UUID)
		return nil
	}
	c.Notify(Removing, p.UUID)
	return c.removeExited(ctx, p)
}

func (c *Collector) collectGarbage(_ context.Context, p *Pod) error { return p.erase() }

// age returns how long the pod has been where it is: moving a directory sets
// its change time.
func (c *Collector) age(p *Pod) (time.Duration, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(p.dir.Fd()), &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: p.Path(), Err: err}
	}
	return c.Now().Sub(time.Unix(st.Ctim.Unix())), nil
}

// removeExited deletes a pod in exited-garbage whose lock this process has.
// Once its stage1 has cleaned up there is nothing left but files.
func (c *Collector) removeExited(ctx context.Context, p *Pod) error {
	err := p.cleanUp(ctx, c.Call)
	if errors.Is(err, ErrNoStage1) {
		c.Notify(NoStage1, p.UUID)
	} else if err != nil {
		return fmt.Errorf("clean up after the pod's stage1: %w", err)
	}
	if err := p.moveTo(garbage); err != nil {
		return err
	}
	return p.erase()
}
