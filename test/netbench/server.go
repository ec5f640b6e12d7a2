package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// serverPort is where servers listen in pods.
const serverPort = ":7000"

// patience bounds every single wait.
const patience = 3 * time.Minute

// server is a candidate whose network is measured.
type server struct {
	name    string
	address string
	cmd     *exec.Cmd
	ended   chan struct{}
}

// run starts a command that holds a server, and waits for its first word.
func run(ctx context.Context, name string, cmd *exec.Cmd, word string) (*server, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	said := &strings.Builder{}
	cmd.Stderr = said
	// Killed with this program, whatever ends it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{name: name, cmd: cmd, ended: make(chan struct{})}
	heard := make(chan error, 1)
	go func() {
		defer close(s.ended)
		heard <- await(out, word)
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	}()
	select {
	case err = <-heard:
	case <-time.After(patience):
		err = errors.New("it says nothing")
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("start %s: %w: %s", name, err, said)
	}
	return s, nil
}

// await reads to the end of the first line with a word.
func await(r io.Reader, word string) error {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.Contains(line, word) {
			go func() { _, _ = io.Copy(io.Discard, in) }()
			return nil
		}
	}
}

// stop ends the server as its owner would, and in the end by force.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(patience):
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		<-s.ended
	}
}

// reachable waits until a server takes connections.
func (s *server) reachable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", s.address)
		if err == nil {
			return conn.Close()
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		time.Sleep(20 * time.Millisecond) // no event tells
	}
}

// own returns this program, for pods.
func own() (string, error) { return os.Executable() }
