package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/guest/client"
	"rkt/internal/stage1/supervisor/control"
)

// service is what the supervisor offers to other entry points.
type service struct {
	stops   *stops
	session atomic.Pointer[client.Machine] // nil until the apps were started
	handed  atomic.Int64                   // bytes of output that clients have taken
}

// Stop asks for the pod's end.
func (s *service) Stop(request *control.Stop) error {
	timeout := time.Duration(request.TimeoutNano)
	if timeout < 0 {
		timeout = appStopTimeout
	}
	s.stops.request(timeout)
	return nil
}

// Exec runs a program beside an app.
func (s *service) Exec(ctx context.Context, request *control.Exec, files []*os.File, c *control.Client) (int, error) {
	stdio, err := control.TakeStdio(request, files)
	if err != nil {
		return 0, err
	}
	defer stdio.Close()
	session := s.session.Load()
	if session == nil {
		return 0, control.ErrNotStarted
	}
	running, err := session.Exec(ctx, guestProgram(request))
	if errors.Is(err, client.ErrNoApp) {
		return 0, fmt.Errorf("app %q does not run any more", request.App)
	}
	if err != nil {
		return 0, err
	}
	if err := c.Started(running.PID); err != nil {
		return 0, errors.Join(err, running.Signal(ctx, unix.SIGHUP))
	}
	go s.obey(ctx, running, request.Terminal != nil, c)
	return s.carry(ctx, running, stdio)
}

func guestProgram(request *control.Exec) client.Program {
	p := client.Program{
		App:              request.App,
		User:             request.User,
		Group:            request.Group,
		WorkingDirectory: request.WorkingDirectory,
		Privileged:       request.Privileged,
		Stdin:            request.Stdin,
	}
	for _, arg := range request.Exec {
		p.Exec = append(p.Exec, string(arg))
	}
	for _, v := range request.Environment {
		p.Environment = append(p.Environment, client.Variable{Name: v.Name, Value: v.Value})
	}
	if request.Terminal != nil {
		size := guestSize(request.Terminal)
		p.Terminal = &size
	}
	return p
}

func guestSize(s *control.Size) client.Size {
	const most = 1<<16 - 1
	return client.Size{Rows: uint16(min(s.GetRows(), most)), Columns: uint16(min(s.GetColumns(), most))}
}

// obey does what the client asks for while its program runs. When the client
// is gone, a program on a terminal is told that this has hung up. Others only
// find their pipes closed.
func (s *service) obey(ctx context.Context, running *client.Running, terminal bool, c *control.Client) {
	for request := range c.Requests() {
		// What does not arrive, because the program has ended, is no news.
		switch kind := request.Kind.(type) {
		case *control.Request_Signal:
			_ = running.Signal(ctx, syscall.Signal(kind.Signal.Signal))
		case *control.Request_Resize:
			_ = running.Resize(ctx, guestSize(kind.Resize.Size))
		}
	}
	if terminal {
		_ = running.Signal(context.WithoutCancel(ctx), unix.SIGHUP)
	}
}

// carry copies until the program has ended and its output is handed over, and
// returns its exit status.
func (s *service) carry(ctx context.Context, running *client.Running, theirs *control.Stdio) (int, error) {
	stdio := running.Stdio
	if theirs.Stdin != nil {
		go func() {
			_, _ = io.Copy(stdio.Stdin, theirs.Stdin)
			_ = stdio.Stdin.Close()
			// The client's next write fails, if the program reads no more.
			theirs.Stdin.Close()
		}()
	}
	var outputs sync.WaitGroup
	outputs.Go(func() { s.handOver(theirs.Stdout, stdio.Stdout) })
	if stdio.Stderr != nil {
		outputs.Go(func() { s.handOver(theirs.Stderr, stdio.Stderr) })
	}
	exit, err := running.Wait(context.WithoutCancel(ctx))
	outputs.Wait()
	if err != nil {
		return 0, fmt.Errorf("the pod ended before the program did: %w", err)
	}
	return exit.Status(), nil
}

// handOver copies an output of a program to a client. When the client wants no
// more, the program is told.
func (s *service) handOver(to *os.File, from io.ReadCloser) {
	_, _ = io.Copy(counted{to, &s.handed}, from)
	_ = from.Close()
	to.Close()
}

// counted counts what is written.
type counted struct {
	to    io.Writer
	bytes *atomic.Int64
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.to.Write(b)
	c.bytes.Add(int64(n))
	return n, err
}

// stuckGrace is how long clients that take nothing are waited for when the pod has
// ended. What is in their pipes already stays there for them.
const stuckGrace = 500 * time.Millisecond

// awaitClients returns when all clients know how their programs ended, or those
// that are left take nothing any more.
func (s *service) awaitClients(ctx context.Context, server *control.Server) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		for taken := int64(-1); taken != s.handed.Load(); {
			taken = s.handed.Load()
			select {
			case <-time.After(stuckGrace):
			case <-ctx.Done():
			}
		}
	}()
	server.Wait(ctx)
}
