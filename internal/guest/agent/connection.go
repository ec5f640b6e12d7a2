//go:build linux

package agent

import (
	"context"
	"errors"

	"rkt/internal/guest/systemd"
)

// connection is the agent's connection to systemd, from before it is there.
type connection struct {
	connected chan struct{} // closed when there is a manager
	to        *systemd.Manager
	version   string // systemd's
}

func newConnection() *connection { return &connection{connected: make(chan struct{})} }

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

// run connects to systemd's socket, does something once systemd answers, and
// returns why the connection has ended.
func (c *connection) run(ctx context.Context, socket string, first func(context.Context, *systemd.Manager)) error {
	manager, err := systemd.Connect(socket)
	if err != nil {
		return err
	}
	// It answers when it is through with what it boots into. A container is so
	// quick that an app could come before that.
	if c.version, err = manager.Version(); err != nil {
		return errors.Join(err, manager.Close())
	}
	c.to = manager
	close(c.connected)
	first(ctx, manager)
	select {
	case <-manager.Disconnected():
		err = systemd.ErrDisconnected
	case <-ctx.Done():
	}
	return errors.Join(err, manager.Close())
}
