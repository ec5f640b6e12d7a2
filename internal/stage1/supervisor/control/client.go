package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/errhint"
	"rkt/internal/stage1"
)

// dial connects to the supervisor of the pod in the working directory.
func dial() (*conn, error) {
	c, err := net.DialUnix(network, nil, &net.UnixAddr{Name: stage1.ControlSocket, Net: network})
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return nil, ErrNotRunning
	}
	if err != nil {
		return nil, err
	}
	// A packet must fit the buffer, whose usual size is less than a long command
	// line. Who may not ask for more has the usual one.
	_ = c.SetWriteBuffer(2 * maxMessage)
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 2*maxMessage)
		})
	}
	return newConn(c), nil
}

// answer takes the next reply, which is an error of the supervisor's or
// something else.
func (c *conn) answer() (*Reply, error) {
	var r Reply
	files, err := c.receive(&r)
	closeFiles(files)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, unix.ECONNRESET):
		return nil, ErrNotRunning
	case err != nil:
		return nil, err
	}
	if failure := r.GetError(); failure != nil {
		err := errors.New(failure.Message)
		if failure.Hint != "" {
			return nil, errhint.With(err, failure.Hint)
		}
		return nil, err
	}
	return &r, nil
}

// AskStop asks the supervisor of the pod in the working directory to end it.
// Apps may take as long as timeout, or the supervisor's default if that is
// negative.
func AskStop(ctx context.Context, timeout time.Duration) error {
	c, err := dial()
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if err := c.send(&Request{Kind: &Request_Stop{&Stop{TimeoutNano: int64(timeout)}}}); err != nil {
		return fmt.Errorf("ask the supervisor to stop: %w", err)
	}
	if _, err := c.answer(); err != nil {
		return fmt.Errorf("ask the supervisor to stop: %w", err)
	}
	return nil
}

// Session is a program that was started with StartExec.
type Session struct {
	PID  int
	conn *conn
}

// StartExec runs a program in the pod in the working directory, and returns when
// it was executed. The descriptors are the program's, see Exec; the caller closes
// its own copies.
func StartExec(request *Exec, files ...*os.File) (*Session, error) {
	c, err := dial()
	if err != nil {
		return nil, err
	}
	if err := c.send(&Request{Kind: &Request_Exec{request}}, files...); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	r, err := c.answer()
	if err == nil && r.GetStarted() == nil {
		err = errors.New("the supervisor's answer makes no sense")
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return &Session{PID: int(r.GetStarted().Pid), conn: c}, nil
}

// Wait returns the program's exit status. By then all its output is in the
// descriptors it was given, which are closed.
func (s *Session) Wait() (int, error) {
	defer s.conn.Close()
	r, err := s.conn.answer()
	if err != nil {
		return 0, err
	}
	exited := r.GetExited()
	if exited == nil {
		return 0, errors.New("the supervisor's answer makes no sense")
	}
	return int(exited.Status), nil
}

// Signal sends the program a signal. It is not answered.
func (s *Session) Signal(signal unix.Signal) error {
	return s.conn.send(&Request{Kind: &Request_Signal{&Signal{Signal: int32(signal)}}})
}

// Resize tells the size of the program's terminal. It is not answered.
func (s *Session) Resize(rows, columns uint16) error {
	size := &Size{Rows: uint32(rows), Columns: uint32(columns)}
	return s.conn.send(&Request{Kind: &Request_Resize{&Resize{Size: size}}})
}
