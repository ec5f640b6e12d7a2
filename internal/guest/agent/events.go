//go:build linux

package agent

import (
	"context"
	"slices"
	"sync"

	"rkt/internal/guest/guestproto"
)

// events are how apps have ended so far, in that order. An event's number is
// its place, from 1.
type events struct {
	mu    sync.Mutex
	exits []*guestproto.Exit
	added chan struct{} // closed and replaced when there is one more
}

func newEvents() *events { return &events{added: make(chan struct{})} }

func (e *events) add(exit *guestproto.Exit) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.exits = append(e.exits, exit)
	close(e.added)
	e.added = make(chan struct{})
}

func (e *events) all() []*guestproto.Exit {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.exits)
}

// after returns the events with higher numbers, waiting for one until ctx is
// done.
func (e *events) after(ctx context.Context, number uint64) []*guestproto.Exit {
	for {
		e.mu.Lock()
		exits, added := e.exits, e.added
		e.mu.Unlock()
		if number < uint64(len(exits)) {
			return slices.Clone(exits[number:])
		}
		select {
		case <-added:
		case <-ctx.Done():
			return nil
		}
	}
}
