package fly

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/appc"
	"rkt/internal/linux"
	"rkt/internal/stage1/supervisor/control"
)

// stopTimeout is how long the app may take to end unless somebody says.
const stopTimeout = 10 * time.Second

// service is what the pod offers to other entry points.
type service struct {
	mu      sync.Mutex
	process *os.Process    // of the app, nil before it runs
	place   place          // where the app runs
	stop    *time.Duration // somebody asked for the end before it ran
}

// place is where an app runs.
type place struct {
	app    appc.RuntimeApp
	root   linux.Root
	mounts *os.File // the mount namespace
}

func newService() *service { return &service{} }

// started says that the app runs.
func (s *service) started(where place, process *os.Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.place, s.process = where, process
	if s.stop != nil {
		s.end(*s.stop)
	}
}

// Stop asks the app to end, and kills it when its time is up.
func (s *service) Stop(request *control.Stop) error {
	timeout := time.Duration(request.TimeoutNano)
	if timeout < 0 {
		timeout = stopTimeout
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		s.stop = &timeout
		return nil
	}
	s.end(timeout)
	return nil
}

// end asks the app to end. What else it has started ends with it. That it has
// ended already is no news.
func (s *service) end(timeout time.Duration) {
	app := s.process
	_ = app.Signal(unix.SIGTERM)
	time.AfterFunc(timeout, func() { _ = app.Kill() })
}

// Exec runs a program beside the app.
func (s *service) Exec(ctx context.Context, request *control.Exec, files []*os.File, c *control.Client) (int, error) {
	stdio, err := control.TakeStdio(request, files)
	if err != nil {
		return 0, err
	}
	defer stdio.Close()
	s.mu.Lock()
	where, running := s.place, s.process != nil
	s.mu.Unlock()
	if !running {
		return 0, control.ErrNotStarted
	}
	command, err := where.companion(request)
	if err != nil {
		return 0, err
	}
	program, err := newProgram(command, request, stdio)
	if err != nil {
		return 0, err
	}
	defer program.close()
	ended := make(chan outcome, 1)
	begun := make(chan error, 1)
	go program.run(where.mounts, begun, ended)
	if err := <-begun; err != nil {
		return 0, err
	}
	_ = c.Started(program.process.Pid) // a client that is gone is noticed below
	go program.obey(ctx, c)
	end := <-ended
	program.finish()
	return end.status, end.err
}

// outcome is how a program ended.
type outcome struct {
	status int
	err    error
}

// run starts the program and waits for its end, on a thread that lives as long.
func (p *program) run(mounts *os.File, begun chan<- error, ended chan<- outcome) {
	runtime.LockOSThread()
	if err := linux.JoinMounts(mounts); err != nil {
		begun <- err
		return
	}
	if err := p.start(); err != nil {
		begun <- err
		return
	}
	begun <- nil
	state, err := p.process.Wait()
	if err != nil {
		ended <- outcome{statusOwnError, fmt.Errorf("wait for the program: %w", err)}
		return
	}
	ended <- outcome{exitStatus(state), nil}
}
