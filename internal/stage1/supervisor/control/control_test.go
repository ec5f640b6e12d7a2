package control

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/errhint"
)

// program is a service whose programs copy their input to their output, until
// a signal ends them.
type program struct{ stopped chan time.Duration }

func (p *program) Stop(request *Stop) error {
	p.stopped <- time.Duration(request.TimeoutNano)
	return nil
}

func (p *program) Exec(_ context.Context, request *Exec, files []*os.File, c *Client) (int, error) {
	defer closeFiles(files)
	if len(request.Exec) == 0 {
		return 0, errhint.With(errors.New("nothing to do"), "name something")
	}
	if len(files) != 2 {
		return 0, errors.New("two descriptors are needed")
	}
	if err := c.Started(42); err != nil {
		return 0, err
	}
	go func() {
		_, _ = io.Copy(files[1], files[0])
		files[1].Close()
	}()
	for r := range c.Requests() {
		if s := r.GetSignal(); s != nil {
			return 128 + int(s.Signal), nil
		}
	}
	return 0, errors.New("the client is gone")
}

// serveIn serves in a directory of its own, which becomes the current one.
func serveIn(t *testing.T) *program {
	t.Helper()
	t.Chdir(t.TempDir())
	server, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{make(chan time.Duration, 1)}
	done := make(chan error, 1)
	go func() { done <- server.Serve(context.Background(), p) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		server.Wait(context.Background())
	})
	return p
}

func TestStop(t *testing.T) {
	p := serveIn(t)
	if err := AskStop(t.Context(), 7*time.Second); err != nil {
		t.Fatal(err)
	}
	if got := <-p.stopped; got != 7*time.Second {
		t.Errorf("timeout %v", got)
	}
	info, err := os.Stat("control")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestNobodyServes(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := AskStop(t.Context(), 0); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no socket: %v", err)
	}
	server, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	server.listener.SetUnlinkOnClose(false) // as if it had been killed
	server.Close()
	if err := AskStop(t.Context(), 0); !errors.Is(err, ErrNotRunning) {
		t.Errorf("dead socket: %v", err)
	}
}

// TestExec shows a whole conversation, with a command line longer than a
// socket's usual buffer.
func TestExec(t *testing.T) {
	serveIn(t)
	in, inEnd, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outEnd, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 900<<10)
	session, err := StartExec(&Exec{Exec: [][]byte{[]byte(long)}}, in, out)
	in.Close()
	out.Close()
	if err != nil {
		t.Fatal(err)
	}
	if session.PID != 42 {
		t.Errorf("process %d", session.PID)
	}
	if _, err := io.WriteString(inEnd, "hello"); err != nil {
		t.Fatal(err)
	}
	inEnd.Close()
	if b, err := io.ReadAll(outEnd); string(b) != "hello" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if err := session.Resize(1, 2); err != nil {
		t.Error(err)
	}
	if err := session.Signal(unix.SIGTERM); err != nil {
		t.Error(err)
	}
	if status, err := session.Wait(); status != 128+15 || err != nil {
		t.Errorf("status %d, %v", status, err)
	}
}

func TestExecError(t *testing.T) {
	serveIn(t)
	_, err := StartExec(&Exec{App: "a"})
	if err == nil || err.Error() != "nothing to do" || errhint.Of(err) != "name something" {
		t.Errorf("%v, hint %q", err, errhint.Of(err))
	}
}

// TestTooMany shows that more clients than there may be are turned away, and
// that those who say nothing can be forgotten.
func TestTooMany(t *testing.T) {
	serveIn(t)
	var idle []*conn
	for range maxClients {
		c, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	if err := AskStop(t.Context(), 0); !errors.Is(err, ErrNotRunning) && !errors.Is(err, unix.EPIPE) {
		t.Errorf("one too many: %v", err)
	}
	for _, c := range idle {
		c.Close()
	}
}

// FuzzConverse sends whatever it likes, with a descriptor too many: the server
// answers or hangs up.
func FuzzConverse(f *testing.F) {
	f.Add([]byte{0x0a, 0x00}, []byte{0x1a, 0x02, 0x08, 0x0f})
	f.Add([]byte{0x12, 0x03, 0x12, 0x01, 'x'}, []byte{0x1a, 0x02, 0x08, 0x0f})
	f.Add([]byte{0xff}, []byte{})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		client, server := pair(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer server.Close()
			converse(t.Context(), newConn(server), &program{make(chan time.Duration, 1)})
		}()
		null, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		rights := unix.UnixRights(int(null.Fd()), int(null.Fd()), int(null.Fd()), int(null.Fd()))
		// What the server does not wait for can't be sent.
		_, _, _ = client.WriteMsgUnix(first, rights, nil)
		_, _ = client.Write(second)
		_ = client.CloseWrite()
		_, _ = io.Copy(io.Discard, io.LimitReader(client, 3*maxLaterMessage))
		client.Close()
		<-done
	})
}

func pair(t *testing.T) (client, server *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(file)
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
		end, ok := c.(*net.UnixConn)
		if !ok {
			t.Fatalf("it is a %T", c)
		}
		ends[i] = end
	}
	return ends[0], ends[1]
}
