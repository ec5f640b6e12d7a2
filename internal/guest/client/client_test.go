package client_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"rkt/internal/guest/client"
	"rkt/internal/guest/guestproto"
	"rkt/internal/guest/mux"
)

// peer is a machine's side of a session, over real sockets and the real ttrpc.
// What it answers is up to the test: a hostile machine may answer anything.
type peer struct {
	control, data net.Conn

	hello    func(*guestproto.HelloResponse)
	start    func(p *peer, req *guestproto.StartAppRequest) (*guestproto.StartAppResponse, error)
	exec     func(p *peer, req *guestproto.ExecRequest) *guestproto.ExecResponse
	execEnd  *guestproto.WaitExecResponse
	shutdown func() *guestproto.ShutdownResponse

	mu     sync.Mutex
	stdio  *mux.Session
	exits  []*guestproto.Exit
	wake   chan struct{}
	shift  int // how wrong the numbers of events are
	config *guestproto.ConfigureRequest
}

func (p *peer) Hello(_ context.Context, req *guestproto.HelloRequest) (*guestproto.HelloResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stdio = mux.Open(p.data, req.Session)
	resp := &guestproto.HelloResponse{
		Version: req.Version, Session: req.Session,
		UptimeNano: int64(time.Second),
	}
	if p.hello != nil {
		p.hello(resp)
	}
	return resp, nil
}

func (p *peer) Describe(context.Context, *guestproto.DescribeRequest) (*guestproto.DescribeResponse, error) {
	return &guestproto.DescribeResponse{Kernel: "6.1\x1b[2J", Systemd: strings.Repeat("2", 1000)}, nil
}

func (p *peer) Configure(_ context.Context, req *guestproto.ConfigureRequest) (*guestproto.ConfigureResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config = req
	return &guestproto.ConfigureResponse{}, nil
}

func (p *peer) StartApp(_ context.Context, req *guestproto.StartAppRequest) (*guestproto.StartAppResponse, error) {
	return p.start(p, req)
}

func (p *peer) NextEvents(ctx context.Context, req *guestproto.NextEventsRequest) (*guestproto.NextEventsResponse, error) {
	for {
		p.mu.Lock()
		exits, wake, shift := p.exits, p.wake, p.shift
		p.mu.Unlock()
		if uint64(len(exits)) > req.After {
			return &guestproto.NextEventsResponse{Last: uint64(len(exits) + shift), Exits: exits[req.After:]}, nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (p *peer) Exec(_ context.Context, req *guestproto.ExecRequest) (*guestproto.ExecResponse, error) {
	return p.exec(p, req), nil
}

func (p *peer) WaitExec(context.Context, *guestproto.WaitExecRequest) (*guestproto.WaitExecResponse, error) {
	return p.execEnd, nil
}

func (p *peer) Resize(_ context.Context, req *guestproto.ResizeRequest) (*guestproto.ResizeResponse, error) {
	return nil, status.Error(codes.NotFound, req.App)
}

func (p *peer) Signal(context.Context, *guestproto.SignalRequest) (*guestproto.SignalResponse, error) {
	return nil, errors.New("no\x00signal\ntoday" + strings.Repeat("!", 10_000))
}

func (p *peer) StopApp(ctx context.Context, _ *guestproto.StopAppRequest) (*guestproto.StopAppResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (p *peer) Shutdown(context.Context, *guestproto.ShutdownRequest) (*guestproto.ShutdownResponse, error) {
	return p.shutdown(), nil
}

// ended lets apps end.
func (p *peer) ended(exits ...*guestproto.Exit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exits = append(p.exits, exits...)
	close(p.wake)
	p.wake = make(chan struct{})
}

// write writes an app's output, and its end. The session may be over by then.
func (p *peer) write(channel uint32, text string) {
	w, err := p.stdio.Send(channel)
	if err != nil {
		return
	}
	_, _ = io.WriteString(w, text)
	w.Close()
}

// serve serves a peer and returns the session with it, after its Hello.
func serve(t *testing.T, p *peer) *client.Machine {
	t.Helper()
	m := connect(t, p)
	if _, err := m.Hello(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

func connect(t *testing.T, p *peer) *client.Machine {
	t.Helper()
	p.wake = make(chan struct{})
	control, controlEnd := socketPair(t)
	data, dataEnd := socketPair(t)
	p.control, p.data = controlEnd, dataEnd
	server, err := ttrpc.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	guestproto.RegisterGuestService(server, p)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(t.Context(), &listener{conn: controlEnd}) })
	m := client.New(control, data, client.Options{Now: func() time.Time { return time.Unix(1, 2) }})
	t.Cleanup(func() {
		m.Close()
		server.Close()
		serving.Wait()
		dataEnd.Close()
	})
	return m
}

// listener has one connection.
type listener struct {
	conn net.Conn
	done bool
}

func (l *listener) Accept() (net.Conn, error) {
	if l.done {
		return nil, io.EOF
	}
	l.done = true
	return l.conn, nil
}
func (l *listener) Close() error   { return nil }
func (l *listener) Addr() net.Addr { return l.conn.LocalAddr() }

func socketPair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	conns := make([]net.Conn, 2)
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		if conns[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return conns[0], conns[1]
}

// starts answers that an app runs, writes its output, and lets it end.
func starts(exits ...*guestproto.Exit) func(*peer, *guestproto.StartAppRequest) (*guestproto.StartAppResponse, error) {
	return func(p *peer, req *guestproto.StartAppRequest) (*guestproto.StartAppResponse, error) {
		// The end may be told before the start, and before the output is out.
		p.ended(exits...)
		go func() {
			p.write(req.Channels.Stdout, "out")
			p.write(req.Channels.Stderr, "err")
		}()
		return &guestproto.StartAppResponse{Pid: 4}, nil
	}
}

func TestSession(t *testing.T) {
	t.Parallel()
	exit := &guestproto.Exit{App: "app", Code: 7}
	p := &peer{
		start: starts(exit),
		shutdown: func() *guestproto.ShutdownResponse {
			return &guestproto.ShutdownResponse{Exits: []*guestproto.Exit{exit}}
		},
	}
	m := connect(t, p)
	info, err := m.Hello(t.Context())
	want := client.Info{Version: guestproto.Version, Uptime: time.Second}
	if diff := cmp.Diff(want, info); diff != "" || err != nil {
		t.Errorf("info (-want +got): %v\n%s", err, diff)
	}
	description, err := m.Describe(t.Context())
	wantDescription := client.Description{Kernel: "6.1?[2J", Systemd: strings.Repeat("2", 128)}
	if diff := cmp.Diff(wantDescription, description); diff != "" || err != nil {
		t.Errorf("description (-want +got): %v\n%s", err, diff)
	}
	if err := m.Configure(t.Context(), client.Config{Hostname: "pod"}); err != nil {
		t.Fatal(err)
	}
	if p.config.TimeUnixNano != 1e9+2 || len(p.config.Entropy) != 64 || bytes.Equal(p.config.Entropy, make([]byte, 64)) {
		t.Errorf("configured with %v", p.config)
	}
	started, err := m.StartApp(t.Context(), client.App{Name: "app"})
	if err != nil || started.PID != 4 || started.Stdio.Stdin != nil {
		t.Fatalf("started %+v, %v", started, err)
	}
	wantExit := client.Exit{App: "app", Code: 7}
	if got := <-m.Exits(); got != wantExit {
		t.Errorf("exit = %+v", got)
	}
	out, outErr := io.ReadAll(started.Stdio.Stdout)
	errs, errErr := io.ReadAll(started.Stdio.Stderr)
	if string(out) != "out" || string(errs) != "err" || outErr != nil || errErr != nil {
		t.Errorf("output %q, %q, %v, %v", out, errs, outErr, errErr)
	}
	goodbye, err := m.Shutdown(t.Context(), time.Second)
	if diff := cmp.Diff(client.Goodbye{Exits: []client.Exit{wantExit}}, goodbye); diff != "" || err != nil {
		t.Errorf("goodbye (-want +got): %v\n%s", err, diff)
	}
	if e, ok := <-m.Exits(); ok {
		t.Errorf("told again: %+v", e)
	}
	if !errors.Is(m.Err(), client.ErrClosed) {
		t.Errorf("session ended with %v", m.Err())
	}
}

func TestAnswersThatAreErrors(t *testing.T) {
	t.Parallel()
	m := serve(t, &peer{})
	if err := m.Resize(t.Context(), "app", client.Size{}); !errors.Is(err, client.ErrNoApp) {
		t.Errorf("resize: %v", err)
	}
	err := m.Signal(t.Context(), "app", syscall.SIGHUP)
	if err == nil || !strings.HasPrefix(err.Error(), "signal: no?signal today!!!") || len(err.Error()) > guestproto.MaxText+20 {
		t.Errorf("signal: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := m.StopApp(ctx, "app", time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop: %v", err)
	}
	big := client.App{Name: "big", Exec: []string{strings.Repeat("x", guestproto.MaxMessage)}}
	if _, err := m.StartApp(t.Context(), big); !errors.Is(err, client.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if _, err := m.StartApp(t.Context(), client.App{Name: "bad", User: "\xff"}); err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("not UTF-8: %v", err)
	}
	if m.Err() != nil {
		t.Errorf("the session suffered: %v", m.Err())
	}
}

func TestStartFailure(t *testing.T) {
	t.Parallel()
	m := serve(t, &peer{start: func(p *peer, req *guestproto.StartAppRequest) (*guestproto.StartAppResponse, error) {
		for _, channel := range []uint32{req.Channels.Stdout, req.Channels.Stderr} {
			p.write(channel, "")
		}
		return &guestproto.StartAppResponse{Failure: &guestproto.StartFailure{
			Kind: guestproto.StartFailure_KIND_USER, Message: "no\nsuch \x07user",
		}}, nil
	}})
	_, err := m.StartApp(t.Context(), client.App{Name: "app"})
	var got *client.StartError
	if !errors.As(err, &got) {
		t.Fatalf("start: %v", err)
	}
	if diff := cmp.Diff(&client.StartError{App: "app", Failure: client.FailedUser, Message: "no such ?user"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if m.Err() != nil {
		t.Errorf("the session suffered: %v", m.Err())
	}
}

// Whatever a machine should not say ends the session, and says what it was.
func TestHostileMachines(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		peer *peer
		want string
	}{
		"version":  {&peer{hello: func(r *guestproto.HelloResponse) { r.Version = 9 }}, "agent speaks version 9, not 1"},
		"session":  {&peer{hello: func(r *guestproto.HelloResponse) { r.Session++ }}, "hello of another session"},
		"stranger": {&peer{start: starts(&guestproto.Exit{App: "x\x1b"})}, `an app nobody started ended: "x?"`},
		"code":     {&peer{start: starts(&guestproto.Exit{App: "app", Code: 256})}, `app "app" ended with code 256, signal 0`},
		"signal":   {&peer{start: starts(&guestproto.Exit{App: "app", Signal: -9})}, `app "app" ended with code 0, signal -9`},
		"twice":    {&peer{start: starts(&guestproto.Exit{App: "app"}, &guestproto.Exit{App: "app"})}, `app "app" ended twice, or out of order`},
		"numbers":  {&peer{start: starts(&guestproto.Exit{App: "app"}), shift: 1}, "1 events after number 0 are said to end with number 2"},
		"no process": {&peer{start: func(*peer, *guestproto.StartAppRequest) (*guestproto.StartAppResponse, error) {
			return &guestproto.StartAppResponse{}, nil
		}}, "app started as process 0"},
		"never began": {&peer{start: failsAndEnds()}, `app "app" ended without having started`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := connect(t, c.peer)
			if _, err := m.Hello(t.Context()); err == nil {
				_, _ = m.StartApp(t.Context(), client.App{Name: "app"})
			}
			<-m.Done()
			want := client.ErrProtocol.Error() + ": " + c.want
			if err := m.Err(); !errors.Is(err, client.ErrProtocol) || err.Error() != want {
				t.Errorf("%v\nwant %s", err, want)
			}
		})
	}
}

func failsAndEnds() func(*peer, *guestproto.StartAppRequest) (*guestproto.StartAppResponse, error) {
	return func(p *peer, req *guestproto.StartAppRequest) (*guestproto.StartAppResponse, error) {
		p.write(req.Channels.Stdout, "")
		p.write(req.Channels.Stderr, "")
		p.ended(&guestproto.Exit{App: "app"})
		return &guestproto.StartAppResponse{Failure: &guestproto.StartFailure{}}, nil
	}
}

func TestGoodbyeThatSaysTooLittle(t *testing.T) {
	t.Parallel()
	m := serve(t, &peer{
		start:    starts(),
		shutdown: func() *guestproto.ShutdownResponse { return &guestproto.ShutdownResponse{} },
	})
	if _, err := m.StartApp(t.Context(), client.App{Name: "app"}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Shutdown(t.Context(), 0); !errors.Is(err, client.ErrProtocol) {
		t.Errorf("shutdown: %v", err)
	}
}

// message is a ttrpc message.
func message(length, stream uint32, kind, flags byte, payload string) string {
	b := binary.BigEndian.AppendUint32(nil, length)
	b = binary.BigEndian.AppendUint32(b, stream)
	return string(append(b, kind, flags)) + payload
}

// A machine that doesn't even speak ttrpc.
func TestHostileStreams(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ control, want string }{
		"size":     {message(guestproto.MaxMessage+1, 1, 2, 0, ""), "message of 1048577 bytes"},
		"type":     {message(0, 1, 3, 0, ""), "message of type 3"},
		"flags":    {message(0, 1, 2, 1, ""), "message with flags 0x1"},
		"stray":    {message(0, 7, 2, 0, ""), "answer to request 7, which does not wait for one"},
		"contents": {message(3, 1, 2, 0, "\xff\xff\xff"), "answer to hello: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			control, controlEnd := socketPair(t)
			data, dataEnd := socketPair(t)
			defer controlEnd.Close()
			defer dataEnd.Close()
			m := client.New(control, data, client.Options{})
			defer m.Close()
			go func() {
				// Only then is there a request to answer.
				_, _ = controlEnd.Read(make([]byte, 1000))
				_, _ = io.WriteString(controlEnd, c.control)
			}()
			if _, err := m.Hello(t.Context()); err == nil {
				t.Error("hello worked")
			}
			<-m.Done()
			want := client.ErrProtocol.Error() + ": " + c.want
			if err := m.Err(); !errors.Is(err, client.ErrProtocol) || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%v\nwant %s", err, want)
			}
		})
	}
}

func TestLostStreams(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(p *peer){
		"control": func(p *peer) { p.control.Close() },
		"data":    func(p *peer) { p.data.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &peer{}
			m := serve(t, p)
			waiting := make(chan error)
			go func() { waiting <- m.StopApp(context.Background(), "app", time.Hour) }()
			cut(p)
			<-m.Done()
			if err := m.Err(); !errors.Is(err, client.ErrLost) {
				t.Errorf("session ended with %v", err)
			}
			if err := <-waiting; !errors.Is(err, client.ErrLost) {
				t.Errorf("call ended with %v", err)
			}
			if _, ok := <-m.Exits(); ok {
				t.Error("exits go on")
			}
		})
	}
}

func TestUseBeforeHelloAndAfterClose(t *testing.T) {
	t.Parallel()
	control, controlEnd := socketPair(t)
	data, dataEnd := socketPair(t)
	defer controlEnd.Close()
	defer dataEnd.Close()
	m := client.New(control, data, client.Options{})
	if _, err := m.StartApp(t.Context(), client.App{Name: "app"}); err == nil {
		t.Error("start before hello works")
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if _, err := m.Hello(t.Context()); !errors.Is(err, client.ErrClosed) {
		t.Errorf("hello after close: %v", err)
	}
}

func ExampleExit_Status() {
	fmt.Println(client.Exit{Code: 7}.Status(), client.Exit{Signal: syscall.SIGKILL}.Status())
	// Output: 7 137
}
