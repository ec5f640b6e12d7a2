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
	"io"
	"syscall"
	"time"
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
// context ended first) may still take effect in the machine.
type Machine struct {
	events chan Exit
	done   chan struct{}
}

// New returns a session over the machine's control and data streams, which
// then belong to it. Nothing is sent before Hello.
func New(control, data io.ReadWriteCloser, opts Options) *Machine {
	return &Machine{events: make(chan Exit), done: make(chan struct{})}
}

// Hello opens the session and returns once the agent answers. It may be called
// before the machine has booted, if the streams hold bytes until then.
func (m *Machine) Hello(ctx context.Context) (Info, error) { return Info{}, ErrClosed }

// Configure sends the machine its identity, the time and entropy, and mounts
// the scratch disk.
func (m *Machine) Configure(ctx context.Context, c Config) error { return ErrClosed }

// StartApp starts an app and returns when its program was executed. The error
// is a *StartError if only this app is concerned. Its disk must have been
// added to the machine, or be about to be.
func (m *Machine) StartApp(ctx context.Context, app App) (Started, error) {
	return Started{}, ErrClosed
}

// Exits returns the channel on which each app that was started is reported
// once, when it has ended. By then all its output has arrived: reading its
// Stdout and Stderr gives the rest and then io.EOF without waiting for the
// machine. So an app whose output is neither read nor closed may not be
// reported. The channel is closed when the session is over; see Err.
func (m *Machine) Exits() <-chan Exit { return m.events }

// Done returns a channel that is closed when the session is over.
func (m *Machine) Done() <-chan struct{} { return m.done }

// Err returns why the session is over, or nil while it isn't: ErrClosed after
// Close or Shutdown, an error that wraps ErrLost or ErrProtocol otherwise.
func (m *Machine) Err() error { return nil }

// Resize sets the size of an app's terminal.
func (m *Machine) Resize(ctx context.Context, app string, s Size) error { return ErrClosed }

// Signal sends a signal to an app's main process.
func (m *Machine) Signal(ctx context.Context, app string, sig syscall.Signal) error {
	return ErrClosed
}

// StopApp sends an app SIGTERM, and kills it after timeout. It returns when
// the app is gone; its Exit follows on its own.
func (m *Machine) StopApp(ctx context.Context, app string, timeout time.Duration) error {
	return ErrClosed
}

// Shutdown ends the machine in order: apps are stopped as by StopApp, their
// output is drained, disks are unmounted, statuses are sent and acknowledged.
// Then the agent restarts the machine, which is how it ends, and the session
// is over. Apps' output must be read or closed meanwhile. Exits that were not
// yet taken from Exits stay there.
func (m *Machine) Shutdown(ctx context.Context, timeout time.Duration) (Goodbye, error) {
	return Goodbye{}, ErrClosed
}

// Close ends the session at once and lets go of both streams. The machine
// notices and ends as well.
func (m *Machine) Close() error { return nil }
