//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/guest/systemd"
	"rkt/internal/linux"
)

// connection is the agent's connection to systemd, from before it is there.
type connection struct {
	up        chan struct{} // closed when systemd has set up the system
	connected chan struct{} // closed when there is a manager
	to        *systemd.Manager
	version   string // systemd's
}

func newConnection() *connection {
	return &connection{up: make(chan struct{}), connected: make(chan struct{})}
}

// wait returns when systemd has set up the system. If that never comes to be the
// machine ends, and with it ctx.
func (c *connection) wait(ctx context.Context) error {
	select {
	case <-c.up:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// manager returns systemd once it can be asked for something. If that never
// comes to be the machine ends, and with it ctx.
func (c *connection) manager(ctx context.Context) (*systemd.Manager, error) {
	select {
	case <-c.connected:
		return c.to, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run connects to systemd's socket, and returns why the connection has ended.
func (c *connection) run(ctx context.Context, opts Options) error {
	manager, err := connect(ctx, opts)
	if err != nil {
		return err
	}
	// It has read the authentication when it has set up the system, and answers when it
	// starts what it boots into. A container is so quick that an app could come before
	// that. And systemd ends a connection on which descriptors come while it reads the
	// authentication, so the first call has none.
	close(c.up)
	if c.version, err = manager.Version(); err != nil {
		return errors.Join(err, manager.Close())
	}
	if opts.Beside {
		if err := linux.SetNice(0); err != nil {
			return errors.Join(err, manager.Close())
		}
	}
	c.to = manager
	close(c.connected)
	select {
	case <-manager.Disconnected():
		err = systemd.ErrDisconnected
	case <-ctx.Done():
	}
	return errors.Join(err, manager.Close())
}

// connect connects to systemd, and waits for it first if it may not be there yet.
func connect(ctx context.Context, opts Options) (*systemd.Manager, error) {
	if !opts.Beside {
		return systemd.Connect(opts.Systemd)
	}
	watch, err := linux.NewWatch()
	if err != nil {
		return nil, err
	}
	defer watch.Close()
	if err := watch.Add(filepath.Dir(opts.Systemd)); err != nil {
		return nil, err
	}
	for {
		manager, err := systemd.Connect(opts.Systemd)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = watch.Wait(ctx)
		case errors.Is(err, unix.ECONNREFUSED):
			// The socket gets its name a moment before it listens, and there is
			// no event for that.
			err = pause(ctx, time.Millisecond)
		default:
			return manager, err
		}
		if err != nil {
			return nil, fmt.Errorf("wait for systemd: %w", err)
		}
	}
}

// pause returns after d, or when ctx is done, with its cause.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
