//go:build linux

// Package agent is the guest's side of the guest protocol: the one program of
// ours inside a pod's machine. It mounts apps' roots, has systemd start the
// apps, and carries their input and output.
//
// It trusts the host, which is the only one that can reach it, and nothing
// that comes out of an image.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"rkt/internal/guest/approot"
)

// Transport brings sessions with the host.
type Transport interface {
	// Accept waits for the next session, and returns its control and data
	// streams. The streams of the one before have been closed.
	Accept(ctx context.Context) (control, data io.ReadWriteCloser, err error)
}

// Options is what the agent finds in its machine.
type Options struct {
	Systemd string // systemd's private socket
	// Beside says that systemd boots meanwhile, to which the agent has left the
	// processors by a high nice value.
	Beside bool
	Dirs   approot.Dirs // where apps' roots are made
	// Mounts are where mounts of a container's host come from. A machine with a
	// kernel of its own has none.
	Mounts Mounts
	End    func() error // ends the machine at once; returns only on failure
	Log    io.Writer    // what happens, if the host asks for it
}

// Mounts brings mounts that the host made, by their names.
type Mounts interface {
	// Take waits for a mount. It is attached nowhere.
	Take(ctx context.Context, name string) (*os.File, error)
}

// container reports whether the kernel is the host's: then much that is set in a
// machine is not the agent's to set.
func (o Options) container() bool { return o.Mounts != nil }

// Agent runs one machine's apps.
type Agent struct {
	opts    Options
	systemd *connection
	events  *events
	// newBuilder makes the one that Configure will need, when it is called first.
	newBuilder func() (*approot.Builder, error)
	// settle does what Configure was asked for that has to wait for systemd.
	settle func() error

	execs execs

	mu       sync.Mutex // guards what follows
	debug    bool
	builder  *approot.Builder
	accounts *accounts
	apps     map[string]*app
	starting sync.WaitGroup
	closing  bool
}

// errEnded is why Run returns when it could not end the machine.
var errEnded = errors.New("the machine should have ended")

// Run serves one session after the other until a pod was configured in one:
// when that is over, so is the machine. It returns only on failure, which must
// end the machine as well.
func Run(ctx context.Context, transport Transport, opts Options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	a := &Agent{opts: opts, systemd: newConnection(), events: newEvents(), apps: map[string]*app{}}
	a.newBuilder = sync.OnceValues(func() (*approot.Builder, error) { return approot.New(opts.Dirs, opts.container()) })
	// What the first app needs is got ready while the host's first words are
	// read: that takes as long again where the processor is emulated.
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel(nil)
	background.Go(func() { cancel(a.systemd.run(ctx, opts)) })
	if !opts.container() {
		background.Go(a.lookForDisks)
		background.Go(func() { _, _ = a.newBuilder() }) // Configure asks for it again
	} else {
		// Nothing takes long in here, and what the host configures next must not
		// happen under systemd's feet while that boots.
		if _, err := a.systemd.manager(ctx); err != nil {
			return errors.Join(fmt.Errorf("wait for systemd: %w", err), context.Cause(ctx))
		}
	}
	for {
		control, data, err := transport.Accept(ctx)
		if err != nil {
			return errors.Join(fmt.Errorf("wait for the host: %w", err), context.Cause(ctx))
		}
		err = serve(ctx, a, control, data)
		if a.configured() || ctx.Err() != nil {
			return errors.Join(fmt.Errorf("session is over: %w", err), opts.End(), errEnded)
		}
	}
}

// configured reports whether the machine has become a pod.
func (a *Agent) configured() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.builder != nil
}

// logf writes what happens, if the host asked for it.
func (a *Agent) logf(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.debug {
		fmt.Fprintf(a.opts.Log, "agent: "+format+"\n", args...)
	}
}
