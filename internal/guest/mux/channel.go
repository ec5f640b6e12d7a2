package mux

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// Reader is the receiving end of a channel.
type Reader struct {
	s       *Session
	channel uint32
	changed sync.Cond
	ended   chan struct{}

	buf      bytes.Buffer
	granted  int // bytes the writer may still send
	consumed int // bytes read and not yet granted anew
	queued   bool
	endSeen  bool
	stopSent bool
	closed   bool
}

// Receive opens a channel to read from. It must be open before the other side
// writes to it.
func (s *Session) Receive(channel uint32) (*Reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayOpen(channel); err != nil {
		return nil, err
	}
	r := &Reader{s: s, channel: channel, granted: Window, ended: make(chan struct{})}
	r.changed.L = &s.mu
	s.readers[channel] = r
	return r, nil
}

// Read reads what has arrived, or waits for it. After the last byte it returns
// io.EOF, or the session's error if the session was over before the end came.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for r.buf.Len() == 0 {
		switch {
		case r.closed:
			return 0, io.ErrClosedPipe
		case r.endSeen:
			return 0, io.EOF
		case r.s.err != nil:
			return 0, r.s.err
		}
		r.changed.Wait()
	}
	n, _ := r.buf.Read(p)
	r.consume(n)
	return n, nil
}

// Close discards what has not been read, and tells the writer to stop. It
// doesn't wait.
func (r *Reader) Close() error {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	r.buf = bytes.Buffer{}
	r.changed.Broadcast()
	r.stop()
	return nil
}

// Ended returns a channel that is closed when all bytes have arrived, or the
// session is over.
func (r *Reader) Ended() <-chan struct{} { return r.ended }

// Complete reports whether all bytes have arrived.
func (r *Reader) Complete() bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.endSeen
}

// consume notes that n bytes were taken out of the window, and grants them
// anew when that is worth a frame.
func (r *Reader) consume(n int) {
	r.consumed += n
	if r.consumed < Window/2 || r.queued || r.stopSent || r.s.err != nil {
		return
	}
	r.queued = true
	r.s.queue(message{kindCredit, r.channel})
}

// takeCredit returns what to grant now.
func (r *Reader) takeCredit() uint32 {
	n := r.consumed
	r.consumed, r.queued = 0, false
	r.granted += n
	return uint32(n)
}

// stop tells the writer that nothing more is taken, once.
func (r *Reader) stop() {
	if r.stopSent || r.s.err != nil {
		return
	}
	r.stopSent = true
	r.s.queue(message{kindStop, r.channel})
}

func (r *Reader) acceptData(p []byte) error {
	if len(p) > r.granted {
		return fmt.Errorf("%d bytes on channel %d, which had %d left", len(p), r.channel, r.granted)
	}
	r.granted -= len(p)
	if !r.closed {
		r.buf.Write(p)
		r.changed.Broadcast()
	}
	return nil
}

func (r *Reader) acceptEnd() {
	r.endSeen = true
	r.stop()
	delete(r.s.readers, r.channel)
	close(r.ended)
	r.changed.Broadcast()
}

// Writer is the sending end of a channel.
type Writer struct {
	s       *Session
	channel uint32
	changed sync.Cond
	stopped chan struct{}
	turn    sync.Mutex // one Write at a time

	credit   int
	inFlight bool // a data frame is being written
	closed   bool
	endSent  bool
	stopSeen bool
}

// Send opens a channel to write to. The other side must have it open for
// reading before the first Write.
func (s *Session) Send(channel uint32) (*Writer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayOpen(channel); err != nil {
		return nil, err
	}
	w := &Writer{s: s, channel: channel, credit: Window, stopped: make(chan struct{})}
	w.changed.L = &s.mu
	s.writers[channel] = w
	return w, nil
}

// Write sends p, waiting while the reader is behind. It fails with
// io.ErrClosedPipe if the reader wants no more or the channel was closed, and
// with the session's error if the session is over.
func (w *Writer) Write(p []byte) (int, error) {
	w.turn.Lock()
	defer w.turn.Unlock()
	sent := 0
	for sent < len(p) {
		n, err := w.acquire(min(len(p)-sent, maxPayload))
		if err != nil {
			return sent, err
		}
		err = w.s.write(header{kindData, n, w.channel}, p[sent:sent+n])
		w.release()
		if err != nil {
			w.s.fail(err)
			return sent, w.s.Err()
		}
		sent += n
	}
	return sent, nil
}

// Close marks the end of what is written. It doesn't wait: not for the reader,
// nor for a Write in progress, which fails.
func (w *Writer) Close() error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	w.changed.Broadcast()
	w.end()
	return nil
}

// Stopped returns a channel that is closed when the reader takes nothing more,
// which after Close means that everything has reached the other side; or when
// the session is over.
func (w *Writer) Stopped() <-chan struct{} { return w.stopped }

// acquire waits until up to n bytes may be sent, and returns how many.
func (w *Writer) acquire(n int) (int, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	for {
		switch {
		case w.s.err != nil:
			return 0, w.s.err
		case w.closed || w.stopSeen:
			return 0, io.ErrClosedPipe
		case w.credit > 0:
			n = min(n, w.credit)
			w.credit -= n
			w.inFlight = true
			return n, nil
		}
		w.changed.Wait()
	}
}

func (w *Writer) release() {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.inFlight = false
	if w.closed {
		w.end()
	}
}

// end queues the end after the last data frame, once.
func (w *Writer) end() {
	if w.inFlight || w.endSent || w.s.err != nil {
		return
	}
	w.endSent = true
	w.s.queue(message{kindEnd, w.channel})
	w.forget()
}

// forget drops the channel when both its end and its stop have passed.
func (w *Writer) forget() {
	if w.endSent && w.stopSeen {
		delete(w.s.writers, w.channel)
	}
}

func (w *Writer) acceptCredit(n uint32) error {
	if w.stopSeen {
		return fmt.Errorf("credit after stop on channel %d", w.channel)
	}
	if n == 0 || int64(w.credit)+int64(n) > Window {
		return fmt.Errorf("credit of %d on channel %d, which had %d", n, w.channel, w.credit)
	}
	w.credit += int(n)
	w.changed.Broadcast()
	return nil
}

func (w *Writer) acceptStop() error {
	if w.stopSeen {
		return fmt.Errorf("second stop on channel %d", w.channel)
	}
	w.stopSeen = true
	close(w.stopped)
	w.changed.Broadcast()
	w.forget()
	return nil
}

// mayOpen refuses numbers that are in use. s.mu is held.
func (s *Session) mayOpen(channel uint32) error {
	switch {
	case s.err != nil:
		return s.err
	case channel == 0 || s.readers[channel] != nil || s.writers[channel] != nil:
		return fmt.Errorf("channel %d: %w", channel, ErrInUse)
	case len(s.readers)+len(s.writers) >= MaxChannels:
		return ErrTooMany
	}
	return nil
}
