// Package mux carries many independent one-way byte channels over one stream.
//
// Each channel has a number that both sides agreed on elsewhere, a writer on
// one side and a reader on the other, and a window of its own: a writer sends
// at most Window bytes more than its reader's owner has consumed. So a reader
// that stalls stops its own writer, and nobody else; and what a side must hold
// for a channel is bounded whatever the other side does.
//
// A session opens with a number that must be the same on both sides, and ends
// with the first frame that breaks a rule: a channel nobody opened, more bytes
// than were granted, data after the end, a frame of unknown type.
package mux

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
)

// Window is how many bytes a channel's writer may be ahead of its reader.
const Window = 256 << 10

// MaxChannels is the most channels a session may have open at a time.
const MaxChannels = 4096

// Errors that a session ends with, and refusals.
var (
	// ErrProtocol means that the other side broke the rules.
	ErrProtocol = errors.New("data stream protocol error")
	// ErrEnded means that the stream ended. It is never io.EOF, which readers
	// return for a channel's own end.
	ErrEnded = errors.New("data stream ended")
	// ErrClosed means that this side closed the session.
	ErrClosed = errors.New("data stream is closed")
	// ErrInUse means that the channel is open already.
	ErrInUse = errors.New("channel is in use")
	// ErrTooMany means that MaxChannels channels are open.
	ErrTooMany = errors.New("too many channels")
)

// Session is one side of a stream of channels.
type Session struct {
	conn   io.ReadWriteCloser
	number uint64

	mu       sync.Mutex // guards everything below and the state of all channels
	readers  map[uint32]*Reader
	writers  map[uint32]*Writer
	pending  []message // control frames that wait to be written
	greeted  bool
	err      error
	wake     chan struct{} // capacity 1: pending has grown
	done     chan struct{} // closed with err set
	finished sync.WaitGroup

	writing   sync.Mutex // held while a frame is written
	helloSent bool
	frame     [headerSize + maxPayload]byte
}

// message is a frame of the session's own: everything but data. A credit is
// looked up when it is written, so that grants add up instead of queueing.
type message struct {
	kind    kind
	channel uint32
}

// Open starts a session on conn, which then belongs to it. The number is sent
// at once, and the other side's is checked when it comes.
func Open(conn io.ReadWriteCloser, number uint64) *Session {
	s := &Session{
		conn:    conn,
		number:  number,
		readers: map[uint32]*Reader{},
		writers: map[uint32]*Writer{},
		wake:    make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
	s.finished.Add(2)
	go s.readLoop()
	go s.controlLoop()
	return s
}

// Done returns a channel that is closed when the session is over.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err returns why the session is over: ErrClosed after Close, ErrEnded if
// the stream ended, an error that wraps ErrProtocol, or the stream's own
// error. It returns nil while the session isn't over.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the session and waits until nothing of it is left. Readers give
// what has arrived, then ErrClosed; writers fail.
func (s *Session) Close() error {
	s.fail(ErrClosed)
	s.finished.Wait()
	return nil
}

// fail ends the session with its first error.
func (s *Session) fail(err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	if isEnd(err) {
		err = ErrEnded
	}
	s.err = err
	close(s.done)
	for _, r := range s.readers {
		r.changed.Broadcast()
		close(r.ended)
	}
	for _, w := range s.writers {
		w.changed.Broadcast()
		if !w.stopSeen {
			close(w.stopped)
		}
	}
	s.readers, s.writers, s.pending = nil, nil, nil
	s.mu.Unlock()
	s.conn.Close()
}

// isEnd reports whether an error of reading or writing the stream means that the
// other side is gone. Which of them comes first is a matter of chance.
func isEnd(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// readLoop takes in frames. It never waits for anything but the stream, or a
// stalled channel would stall all others.
func (s *Session) readLoop() {
	defer s.finished.Done()
	in := bufio.NewReaderSize(s.conn, headerSize+maxPayload)
	payload := make([]byte, maxPayload)
	for {
		if err := s.readFrame(in, payload); err != nil {
			s.fail(err)
			return
		}
	}
}

func (s *Session) readFrame(in *bufio.Reader, payload []byte) error {
	var b [headerSize]byte
	if _, err := io.ReadFull(in, b[:]); err != nil {
		return err
	}
	h, err := parseHeader(b[:])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	payload = payload[:h.length]
	if _, err := io.ReadFull(in, payload); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if err := s.accept(h, payload); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return nil
}

// accept acts on a frame. s.mu is held.
func (s *Session) accept(h header, payload []byte) error {
	if h.kind == kindHello {
		return s.acceptHello(binary.BigEndian.Uint64(payload))
	}
	if !s.greeted {
		return fmt.Errorf("%v before hello", h.kind)
	}
	switch h.kind {
	case kindData, kindEnd:
		r := s.readers[h.channel]
		if r == nil {
			return fmt.Errorf("%v on channel %d, which has no reader", h.kind, h.channel)
		}
		if h.kind == kindEnd {
			r.acceptEnd()
			return nil
		}
		return r.acceptData(payload)
	default: // kindCredit, kindStop
		w := s.writers[h.channel]
		if w == nil {
			return fmt.Errorf("%v on channel %d, which has no writer", h.kind, h.channel)
		}
		if h.kind == kindStop {
			return w.acceptStop()
		}
		return w.acceptCredit(binary.BigEndian.Uint32(payload))
	}
}

func (s *Session) acceptHello(number uint64) error {
	if s.greeted {
		return errors.New("second hello")
	}
	if number != s.number {
		return errors.New("hello of another session")
	}
	s.greeted = true
	return nil
}

// queue adds a control frame to those that wait. s.mu is held.
func (s *Session) queue(m message) {
	s.pending = append(s.pending, m)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// controlLoop writes the session's own frames, so that neither readLoop nor
// anybody's Close waits for the stream.
func (s *Session) controlLoop() {
	defer s.finished.Done()
	if err := s.hello(); err != nil {
		s.fail(err)
		return
	}
	for {
		h, payload, ok := s.nextControl()
		if !ok {
			select {
			case <-s.done:
				return
			case <-s.wake:
				continue
			}
		}
		if err := s.write(h, payload); err != nil {
			s.fail(err)
			return
		}
	}
}

// nextControl takes one control frame from those that wait.
func (s *Session) nextControl() (header, []byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pending) > 0 {
		m := s.pending[0]
		s.pending = s.pending[1:]
		h := header{kind: m.kind, channel: m.channel}
		var payload []byte
		if m.kind == kindCredit {
			r := s.readers[m.channel]
			if r == nil || r.stopSent {
				continue // it ended meanwhile
			}
			payload = binary.BigEndian.AppendUint32(nil, r.takeCredit())
		}
		h.length = len(payload)
		return h, payload, true
	}
	return header{}, nil, false
}

// hello opens the session, if no other frame has done so.
func (s *Session) hello() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.writeHello()
}

func (s *Session) writeHello() error {
	if s.helloSent {
		return nil
	}
	s.helloSent = true
	var b [headerSize + helloSize]byte
	header{kind: kindHello, length: helloSize}.put(b[:])
	binary.BigEndian.PutUint64(b[headerSize:], s.number)
	_, err := s.conn.Write(b[:])
	return err
}

// write puts one frame on the stream, whole. Waiting writers take turns.
func (s *Session) write(h header, payload []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.writeHello(); err != nil {
		return err
	}
	h.put(s.frame[:])
	n := headerSize + copy(s.frame[headerSize:], payload)
	_, err := s.conn.Write(s.frame[:n])
	return err
}
