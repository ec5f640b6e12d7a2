package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Guest is the receiving end.
type Guest struct {
	mu      sync.Mutex
	arrived map[string]*os.File
	err     error
	changed chan struct{} // closed and replaced whenever the above changes
}

// Dial connects to the host.
func Dial(path string) (*Guest, error) {
	conn, err := net.DialUnix(network, nil, &net.UnixAddr{Name: path, Net: network})
	if err != nil {
		return nil, err
	}
	g := &Guest{arrived: map[string]*os.File{}, changed: make(chan struct{})}
	go g.receive(conn)
	return g, nil
}

// Take returns the descriptor with a name, waiting for it. It can be taken
// once.
func (g *Guest) Take(ctx context.Context, name string) (*os.File, error) {
	for {
		g.mu.Lock()
		file, err, changed := g.arrived[name], g.err, g.changed
		delete(g.arrived, name)
		g.mu.Unlock()
		switch {
		case file != nil:
			return file, nil
		case err != nil:
			return nil, fmt.Errorf("descriptor %q: %w", name, err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("descriptor %q: %w", name, ctx.Err())
		}
	}
}

// Accept takes the streams of the one session there is.
func (g *Guest) Accept(ctx context.Context) (control, data io.ReadWriteCloser, err error) {
	if control, err = g.stream(ctx, Control); err != nil {
		return nil, nil, err
	}
	if data, err = g.stream(ctx, Data); err != nil {
		return nil, nil, errors.Join(err, control.Close())
	}
	return control, data, nil
}

func (g *Guest) stream(ctx context.Context, name string) (net.Conn, error) {
	file, err := g.Take(ctx, name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return net.FileConn(file)
}

func (g *Guest) receive(conn *net.UnixConn) {
	defer conn.Close()
	for {
		name, file, err := receiveOne(conn)
		g.mu.Lock()
		if err != nil {
			g.err = err
		} else {
			g.arrived[name] = file
		}
		close(g.changed)
		g.changed = make(chan struct{})
		g.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func receiveOne(conn *net.UnixConn) (string, *os.File, error) {
	name, rights := make([]byte, maxName), make([]byte, unix.CmsgSpace(4))
	n, m, _, _, err := conn.ReadMsgUnix(name, rights)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return "", nil, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:m])
	if err != nil || len(messages) != 1 {
		return "", nil, fmt.Errorf("%d messages instead of a descriptor: %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return "", nil, fmt.Errorf("%d descriptors instead of one: %w", len(fds), err)
	}
	unix.CloseOnExec(fds[0])
	return string(name[:n]), os.NewFile(uintptr(fds[0]), string(name[:n])), nil
}
