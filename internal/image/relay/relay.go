// Package relay hands streams from one goroutine to another, so that what is
// done with a stream takes several processors: one decompresses it, the next
// takes its digest, another writes it down.
//
// Unlike an io.Pipe a relay has buffers, so that the two sides need not wait
// for each other at every write.
package relay

import (
	"errors"
	"io"
	"sync"
)

const (
	bufferSize  = 128 << 10
	bufferCount = 6
)

// ErrClosed is what a Writer returns once nobody reads on.
var ErrClosed = errors.New("nobody reads on")

// pipe is what the two ends share.
type pipe struct {
	full  chan []byte // closed by the writer at the end
	empty chan []byte
	gone  chan struct{} // closed by the reader
	err   error         // of the writer, valid when full is closed
}

// New returns the two ends of a relay. Each may be used by one goroutine, and
// each must be closed.
func New() (*Reader, *Writer) {
	p := &pipe{
		full:  make(chan []byte, bufferCount),
		empty: make(chan []byte, bufferCount),
		gone:  make(chan struct{}),
	}
	for range bufferCount {
		p.empty <- nil // made when it is needed
	}
	return &Reader{pipe: p}, &Writer{pipe: p}
}

// Writer is the end that is written to.
type Writer struct {
	pipe   *pipe
	buffer []byte // nil if there is none with room
	closed bool
}

// Write copies p to the other end: ErrClosed if that was closed.
func (w *Writer) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		if err := w.room(); err != nil {
			return done, err
		}
		n := copy(w.buffer[len(w.buffer):cap(w.buffer)], p[done:])
		w.buffer = w.buffer[:len(w.buffer)+n]
		done += n
		if err := w.pass(false); err != nil {
			return done, err
		}
	}
	return done, nil
}

// ReadFrom copies all of r to the other end, without a copy in between.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) {
	var done int64
	for {
		if err := w.room(); err != nil {
			return done, err
		}
		n, err := r.Read(w.buffer[len(w.buffer):cap(w.buffer)])
		w.buffer = w.buffer[:len(w.buffer)+n]
		done += int64(n)
		if errors.Is(err, io.EOF) {
			return done, w.pass(false)
		}
		if err := errors.Join(err, w.pass(false)); err != nil {
			return done, err
		}
	}
}

// room makes sure that there is a buffer with room.
func (w *Writer) room() error {
	if w.buffer != nil {
		return nil
	}
	select {
	case b := <-w.pipe.empty:
		if b == nil {
			b = make([]byte, 0, bufferSize)
		}
		w.buffer = b[:0]
		return nil
	case <-w.pipe.gone:
		return ErrClosed
	}
}

// pass hands a buffer on if it is full, or has anything in it at the end.
func (w *Writer) pass(end bool) error {
	if len(w.buffer) < cap(w.buffer) && !end || len(w.buffer) == 0 {
		return nil
	}
	select {
	case w.pipe.full <- w.buffer:
		w.buffer = nil
		return nil
	case <-w.pipe.gone:
		return ErrClosed
	}
}

// CloseWithError ends the stream. The other end gets what was written and then
// err, io.EOF if that is nil. Only the first call counts.
func (w *Writer) CloseWithError(err error) {
	if w.closed {
		return
	}
	w.closed = true
	if w.pass(true) != nil {
		return // nobody is there to see the end
	}
	if err == nil {
		err = io.EOF
	}
	w.pipe.err = err
	close(w.pipe.full)
}

// Reader is the end that is read from.
type Reader struct {
	pipe   *pipe
	buffer []byte // whole, to be given back
	rest   []byte
	close  sync.Once
}

// Read reads what was written to the other end.
func (r *Reader) Read(p []byte) (int, error) {
	if err := r.next(); err != nil {
		return 0, err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// WriteTo copies everything to w, without a copy in between.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	var done int64
	for {
		if err := r.next(); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return done, err
		}
		n, err := w.Write(r.rest)
		r.rest = r.rest[n:]
		done += int64(n)
		if err != nil {
			return done, err
		}
	}
}

// next makes sure that there is something to read.
func (r *Reader) next() error {
	if len(r.rest) > 0 {
		return nil
	}
	if r.buffer != nil {
		r.pipe.empty <- r.buffer // there is room for all that there are
		r.buffer = nil
	}
	b, ok := <-r.pipe.full
	if !ok {
		return r.pipe.err
	}
	r.buffer, r.rest = b, b
	return nil
}

// Close tells the other end that nobody reads on. It may be called more than
// once.
func (r *Reader) Close() error {
	r.close.Do(func() { close(r.pipe.gone) })
	return nil
}
