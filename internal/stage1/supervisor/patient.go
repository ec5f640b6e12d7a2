package supervisor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// maxBehind is how many bytes are kept for a reader that is slow.
	maxBehind = 1 << 20
	// patience is how long a reader that takes nothing at all is waited for.
	patience = time.Second
	// writeSize is how much a reader must take to count as one that reads: what
	// a pipe has room for at the least.
	writeSize = 4 << 10
)

// patientWriter writes to somebody who may be slow, or not read at all. Who is
// slow is waited for. Who takes nothing for a while gets no more until he does,
// and then is told how much he has missed: nobody else must wait for him. Once
// writing fails everything is swallowed: an app doesn't end because nobody
// listens.
type patientWriter struct {
	to io.Writer

	mu      sync.Mutex
	queue   []byte        // what is to be written next
	changed chan struct{} // closed and replaced when the reader has taken something
	added   chan struct{} // capacity 1: there is something in the queue
	idle    bool          // nothing is being written
	stalled bool          // the reader takes nothing
	missed  int           // lines left out since it stalled
	failed  bool
}

// newPatientWriter starts a writer, which lives as long as the program.
func newPatientWriter(to io.Writer) *patientWriter {
	w := &patientWriter{to: to, changed: make(chan struct{}), added: make(chan struct{}, 1), idle: true}
	go w.run()
	return w
}

// put hands over a piece that is to be written whole or not at all.
func (w *patientWriter) put(piece []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue)+len(piece) > maxBehind && !w.stalled && !w.failed {
		w.stalled = !w.await(w.changed)
	}
	switch {
	case w.failed:
	case w.stalled:
		w.missed += max(bytes.Count(piece, []byte("\n")), 1)
	default:
		w.note()
		w.queue = append(w.queue, piece...)
		raise(w.added)
	}
}

// note says what was left out, once the reader goes on. mu is held.
func (w *patientWriter) note() {
	if w.missed > 0 {
		w.queue = fmt.Appendf(w.queue, "[%d lines are left out here, because nobody read them; rkt logs has them]\n", w.missed)
		w.missed = 0
	}
}

// await waits for a channel to be closed, but not longer than patience, and
// tells whether it was. It lets go of mu meanwhile.
func (w *patientWriter) await(changed <-chan struct{}) bool {
	w.mu.Unlock()
	defer w.mu.Lock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-changed:
		return true
	case <-timer.C:
		return false
	}
}

// run writes what is in the queue, again and again.
func (w *patientWriter) run() {
	for range w.added {
		for b := w.take(); len(b) > 0; {
			n, err := w.to.Write(b[:min(len(b), writeSize)])
			if err != nil {
				w.fail()
				return
			}
			w.progress()
			if b = b[n:]; len(b) == 0 {
				b = w.take()
			}
		}
	}
}

// take empties the queue.
func (w *patientWriter) take() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note()
	b := w.queue
	w.queue, w.idle = nil, len(b) == 0
	w.tell()
	return b
}

// progress notes that the reader has taken something.
func (w *patientWriter) progress() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stalled = false
	w.tell()
}

func (w *patientWriter) fail() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed, w.idle, w.queue = true, true, nil
	w.tell()
}

// tell wakes those who wait for a change. mu is held.
func (w *patientWriter) tell() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// flush returns when everything is written, ctx is done, or the reader takes
// nothing.
func (w *patientWriter) flush(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.idle || len(w.queue) > 0 {
		if w.stalled || ctx.Err() != nil || !w.await(w.changed) {
			return
		}
	}
}
