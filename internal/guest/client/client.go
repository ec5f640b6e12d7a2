// Package client is the supervisor's side of the guest protocol: it drives the
// agent inside one machine over two byte streams.
//
// The machine is taken to be hostile. What it sends is bounded in size and
// number, text is made printable, and the first thing it sends that it should
// not have sent ends the session with an error that says what it was. Nothing
// a machine does can make a method block beyond its context.
package client

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/containerd/ttrpc"

	"rkt/internal/guest/guestproto"
	"rkt/internal/guest/mux"
)

// Options adjusts a Machine. The zero value is good.
type Options struct {
	// Now is the clock that Configure sends; nil is time.Now.
	Now func() time.Time
	// Random is the source of the session number and of the entropy that
	// Configure sends; nil is crypto/rand.
	Random io.Reader
}

// Machine is a session with the agent of one machine. All methods may be
// called at the same time, but Hello, then Configure, come first.
//
// Calls whose context has no deadline get one. A call that is given up (its
// context ended first) may still take effect in the machine. An agent that
// doesn't answer at all is given up for lost, with the session.
type Machine struct {
	now     func() time.Time
	random  io.Reader
	control *guard
	data    io.ReadWriteCloser

	exits chan Exit
	done  chan struct{} // closed with err set

	mu     sync.Mutex // guards what follows
	err    error
	rpc    *ttrpc.Client
	stdio  *mux.Session
	apps   map[string]*app
	starts int    // apps that were ever started, and so channel numbers used
	exited int    // apps whose end the machine has told
	parted bool   // the machine has said goodbye: now it may go
	last   uint32 // highest channel number in use

	workers sync.WaitGroup // everything that may send to exits, or is in a call
	closed  chan struct{}  // closed when the workers are gone and so is the rest
}

// New returns a session over the machine's control and data streams, which
// then belong to it. Nothing is sent before Hello.
func New(control, data io.ReadWriteCloser, opts Options) *Machine {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Random == nil {
		opts.Random = rand.Reader
	}
	return &Machine{
		now:     opts.Now,
		random:  opts.Random,
		control: newGuard(control),
		data:    data,
		exits:   make(chan Exit, guestproto.MaxApps),
		done:    make(chan struct{}),
		apps:    map[string]*app{},
		closed:  make(chan struct{}),
	}
}

// Exits returns the channel on which each app that was started is reported
// once, when it has ended. By then all its output has arrived: reading its
// Stdout and Stderr gives the rest and then io.EOF without waiting for the
// machine. So an app whose output is neither read nor closed may not be
// reported. The channel is closed when the session is over; see Err.
func (m *Machine) Exits() <-chan Exit { return m.exits }

// Done returns a channel that is closed when the session is over.
func (m *Machine) Done() <-chan struct{} { return m.done }

// Err returns why the session is over, or nil while it isn't: ErrClosed after
// Close or Shutdown, an error that wraps ErrLost or ErrProtocol otherwise.
func (m *Machine) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// Close ends the session at once, lets go of both streams, and returns when
// nothing of it is left. The machine notices and ends as well.
func (m *Machine) Close() error {
	m.fail(ErrClosed)
	<-m.closed
	return nil
}

// fail ends the session with its first error.
func (m *Machine) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return
	}
	if m.parted {
		err = ErrClosed
	}
	m.err = err
	close(m.done)
	go m.tearDown(m.rpc, m.stdio)
}

// tearDown lets go of the streams and waits for all that used them.
func (m *Machine) tearDown(rpc *ttrpc.Client, stdio *mux.Session) {
	if rpc != nil {
		rpc.Close()
		stdio.Close()
	}
	m.control.Close()
	m.data.Close()
	m.workers.Wait()
	close(m.exits)
	close(m.closed)
}

// work runs f as part of the session, unless the session is over.
func (m *Machine) work(f func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	m.workers.Go(f)
	return nil
}

// open starts both streams under a fresh number. It works once.
func (m *Machine) open() (guestproto.GuestService, uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(m.random, b[:]); err != nil {
		return nil, 0, fmt.Errorf("session number: %w", err)
	}
	number := binary.BigEndian.Uint64(b[:])
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return nil, 0, m.err
	}
	if m.rpc != nil {
		return nil, 0, errors.New("session is open already")
	}
	m.rpc = ttrpc.NewClient(m.control, ttrpc.WithOnClose(m.controlEnded))
	m.stdio = mux.Open(m.data, number)
	stdio := m.stdio
	m.workers.Go(func() {
		<-stdio.Done()
		m.dataEnded(stdio.Err())
	})
	return guestproto.NewGuestClient(m.rpc), number, nil
}

// agent returns the agent's calls once Hello was answered.
func (m *Machine) agent() (guestproto.GuestService, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.err != nil:
		return nil, m.err
	case m.rpc == nil:
		return nil, errors.New("session is not open")
	}
	return guestproto.NewGuestClient(m.rpc), nil
}

// controlEnded is told when the control stream is over.
func (m *Machine) controlEnded() {
	if err := m.control.violation(); err != nil {
		m.fail(fmt.Errorf("%w: %w", ErrProtocol, err))
		return
	}
	m.fail(fmt.Errorf("%w: its control stream ended", ErrLost))
}

func (m *Machine) dataEnded(err error) {
	if errors.Is(err, mux.ErrProtocol) {
		m.fail(fmt.Errorf("%w: %w", ErrProtocol, err))
		return
	}
	m.fail(fmt.Errorf("%w: %w", ErrLost, err))
}

// broken ends the session because of what the machine sent, and returns why.
func (m *Machine) broken(format string, args ...any) error {
	m.fail(fmt.Errorf("%w: %w", ErrProtocol, fmt.Errorf(format, args...)))
	return m.Err()
}

// part notes that the machine's end is in order from here on.
func (m *Machine) part() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parted = true
}

// bounded returns ctx with a deadline if it has none.
func bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}
