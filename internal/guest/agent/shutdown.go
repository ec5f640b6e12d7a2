//go:build linux

package agent

import (
	"context"
	"errors"
	"sync"
	"time"
)

// drainGrace is how long the host may take to read what apps wrote, once they
// are all gone.
const drainGrace = 10 * time.Second

// shutdown ends all apps, waits until the host has their output, and puts away
// what they wrote.
func (a *Agent) shutdown(ctx context.Context, timeout time.Duration) error {
	a.mu.Lock()
	a.closing = true
	a.mu.Unlock()
	a.starting.Wait()
	a.mu.Lock()
	apps := make([]*app, 0, len(a.apps))
	for _, app := range a.apps {
		apps = append(apps, app)
	}
	a.mu.Unlock()

	if err := stopAll(ctx, apps, timeout); err != nil {
		return err
	}
	if !a.drain(ctx, apps) {
		a.logf("the host has not read all output")
	}
	// What can't be put away in order is lost, but the pod still ends.
	if err := a.putAway(apps); err != nil {
		a.logf("put away: %v", err)
	}
	return nil
}

// stopAll returns when all apps are gone.
func stopAll(ctx context.Context, apps []*app, timeout time.Duration) error {
	errs := make([]error, len(apps))
	var all sync.WaitGroup
	for i, app := range apps {
		select {
		case <-app.gone:
			continue
		default:
		}
		all.Go(func() { errs[i] = app.stop(ctx, timeout) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// drain waits until the host has taken all output, and reports whether it did.
func (a *Agent) drain(ctx context.Context, apps []*app) bool {
	ctx, cancel := context.WithTimeout(ctx, drainGrace)
	defer cancel()
	all := a.execs.drained()
	for _, app := range apps {
		all = append(all, app.stdio.drained()...)
	}
	for _, done := range all {
		select {
		case <-done:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// putAway leaves the scratch disk clean, when apps' roots are unmounted.
func (a *Agent) putAway(apps []*app) error {
	a.mu.Lock()
	builder := a.builder
	a.mu.Unlock()
	if builder == nil {
		return nil
	}
	for _, app := range apps {
		<-app.putAway
	}
	return builder.Close()
}
