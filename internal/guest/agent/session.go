//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/containerd/ttrpc"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"rkt/internal/guest/guestproto"
	"rkt/internal/guest/mux"
	"rkt/internal/guest/systemd"
)

// session is one host's stay: the calls it makes and the channels it opened.
type session struct {
	agent *Agent
	data  io.ReadWriteCloser

	mu    sync.Mutex
	stdio *mux.Session // nil before Hello
}

// serve answers calls until the control stream ends.
func serve(ctx context.Context, a *Agent, control, data io.ReadWriteCloser) error {
	s := &session{agent: a, data: data}
	defer s.close()
	server, err := ttrpc.NewServer()
	if err != nil {
		return err
	}
	guestproto.RegisterGuestService(server, s)
	only := &oneConn{conn: &stream{ReadWriteCloser: control}, closed: make(chan struct{})}
	only.conn.onClose = sync.OnceFunc(func() { close(only.closed) })
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	err = server.Serve(ctx, only)
	if errors.Is(err, errSessionOver) {
		return errSessionOver
	}
	return err
}

func (s *session) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stdio != nil {
		s.stdio.Close()
	}
	s.data.Close()
}

// channels returns the session's data channels once there was a Hello.
func (s *session) channels() (*mux.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stdio == nil {
		return nil, status.Error(codes.FailedPrecondition, "there was no hello")
	}
	return s.stdio, nil
}

// Hello opens the session.
func (s *session) Hello(_ context.Context, req *guestproto.HelloRequest) (*guestproto.HelloResponse, error) {
	if req.Version != guestproto.Version {
		return nil, status.Errorf(codes.FailedPrecondition, "agent speaks version %d, not %d", guestproto.Version, req.Version)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stdio != nil {
		return nil, status.Error(codes.FailedPrecondition, "second hello")
	}
	s.stdio = mux.Open(s.data, req.Session)
	var uptime unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &uptime); err != nil {
		return nil, fmt.Errorf("clock_gettime: %w", err)
	}
	return &guestproto.HelloResponse{
		Version:    guestproto.Version,
		Session:    req.Session,
		UptimeNano: uptime.Nano(),
	}, nil
}

// Describe tells the versions of what the machine is made of.
func (s *session) Describe(ctx context.Context, _ *guestproto.DescribeRequest) (*guestproto.DescribeResponse, error) {
	if _, err := s.agent.systemd.manager(ctx); err != nil {
		return nil, err
	}
	var kernel unix.Utsname
	if err := unix.Uname(&kernel); err != nil {
		return nil, fmt.Errorf("uname: %w", err)
	}
	return &guestproto.DescribeResponse{Kernel: unix.ByteSliceToString(kernel.Release[:]), Systemd: s.agent.systemd.version}, nil
}

// eventsWait is how long NextEvents waits for one.
const eventsWait = time.Minute

// NextEvents waits for events.
func (s *session) NextEvents(ctx context.Context, req *guestproto.NextEventsRequest) (*guestproto.NextEventsResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, eventsWait)
	defer cancel()
	exits := s.agent.events.after(ctx, req.After)
	return &guestproto.NextEventsResponse{Last: req.After + uint64(len(exits)), Exits: exits}, nil
}

// Resize sets the size of an app's or another program's terminal.
func (s *session) Resize(_ context.Context, req *guestproto.ResizeRequest) (*guestproto.ResizeResponse, error) {
	if req.Exec != 0 {
		p, err := s.agent.execs.get(req.Exec)
		if err != nil {
			return nil, err
		}
		return &guestproto.ResizeResponse{}, p.stdio.resize(req.Terminal)
	}
	a, err := s.agent.running(req.App)
	if err != nil {
		return nil, err
	}
	return &guestproto.ResizeResponse{}, a.stdio.resize(req.Terminal)
}

// Signal sends a signal to an app's main process, or to another program.
func (s *session) Signal(ctx context.Context, req *guestproto.SignalRequest) (*guestproto.SignalResponse, error) {
	if req.Exec != 0 {
		p, err := s.agent.execs.get(req.Exec)
		if err != nil {
			return nil, err
		}
		return &guestproto.SignalResponse{}, p.signal(unix.Signal(req.Signal))
	}
	a, err := s.agent.running(req.App)
	if err != nil {
		return nil, err
	}
	err = a.manager.Kill(ctx, a.service, systemd.Main, req.Signal)
	if errors.Is(err, systemd.ErrGone) {
		return nil, errNoApp(req.App)
	}
	return &guestproto.SignalResponse{}, err
}

// StopApp ends an app.
func (s *session) StopApp(ctx context.Context, req *guestproto.StopAppRequest) (*guestproto.StopAppResponse, error) {
	a, err := s.agent.running(req.App)
	if err != nil {
		return nil, err
	}
	return &guestproto.StopAppResponse{}, a.stop(ctx, time.Duration(req.TimeoutNano))
}

// Shutdown ends all apps and puts everything away.
func (s *session) Shutdown(ctx context.Context, req *guestproto.ShutdownRequest) (*guestproto.ShutdownResponse, error) {
	if err := s.agent.shutdown(ctx, time.Duration(req.TimeoutNano)); err != nil {
		return nil, err
	}
	return &guestproto.ShutdownResponse{Exits: s.agent.events.all()}, nil
}

func errNoApp(name string) error { return status.Errorf(codes.NotFound, "no running app %q", name) }

var errSessionOver = errors.New("the host is gone")

// oneConn is a listener with one connection: its second Accept waits until
// that is closed, and then ends the server.
type oneConn struct {
	conn     *stream
	accepted bool
	closed   chan struct{}
}

// Accept returns the connection, then the end.
func (l *oneConn) Accept() (net.Conn, error) {
	if !l.accepted {
		l.accepted = true
		return l.conn, nil
	}
	<-l.closed
	return nil, errSessionOver
}

// Close ends the connection.
func (l *oneConn) Close() error { return l.conn.Close() }

// Addr returns a name for the stream.
func (l *oneConn) Addr() net.Addr { return streamAddr{} }

// stream makes a byte stream the net.Conn that ttrpc wants. ttrpc sets no
// deadlines.
type stream struct {
	io.ReadWriteCloser
	onClose func()
}

// Close closes the stream and says so.
func (s *stream) Close() error {
	defer s.onClose()
	return s.ReadWriteCloser.Close()
}

// LocalAddr returns a name for the stream.
func (s *stream) LocalAddr() net.Addr { return streamAddr{} }

// RemoteAddr returns a name for the stream.
func (s *stream) RemoteAddr() net.Addr { return streamAddr{} }

var errNoDeadline = errors.New("stream has no deadlines")

// SetDeadline is not supported.
func (s *stream) SetDeadline(time.Time) error { return errNoDeadline }

// SetReadDeadline is not supported.
func (s *stream) SetReadDeadline(time.Time) error { return errNoDeadline }

// SetWriteDeadline is not supported.
func (s *stream) SetWriteDeadline(time.Time) error { return errNoDeadline }

type streamAddr struct{}

func (streamAddr) Network() string { return "stream" }
func (streamAddr) String() string  { return "host" }
