package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"syscall"
	"time"

	"rkt/internal/guest/guestproto"
)

// waitLimit must be beyond what WaitExec waits by itself.
const waitLimit = 5 * time.Minute

// Program is what is to run beside an app, in its surroundings and as confined
// as it is.
type Program struct {
	App  string
	Exec []string
	// Environment replaces variables of the app's, or adds to them.
	Environment      []Variable
	User, Group      string // empty: the app's
	WorkingDirectory string // empty: the app's
	// Privileged is for root of the pod: all capabilities and system calls.
	Privileged bool
	Terminal   *Size
	Stdin      bool
}

// Running is such a program once it was executed.
type Running struct {
	PID   int // as the machine numbers it
	Stdio Stdio

	machine *Machine
	app     *app // its channels
	id      uint64
}

// Exec runs a program beside an app and returns when it was executed. The error
// is a *StartError if only this program is concerned, ErrNoApp if the app does
// not run.
func (m *Machine) Exec(ctx context.Context, p Program) (*Running, error) {
	agent, err := m.agent()
	if err != nil {
		return nil, err
	}
	// Once channels are open, the machine must hear of them.
	most := &guestproto.Channels{Stdin: math.MaxUint32, Stdout: math.MaxUint32, Stderr: math.MaxUint32}
	if err := sendable(wireProgram(p, most)); err != nil {
		return nil, fmt.Errorf("exec: %w", err)
	}
	r := &Running{machine: m}
	if r.app, err = m.openProgram(p); err != nil {
		return nil, fmt.Errorf("exec: %w", err)
	}
	exec := call[*guestproto.ExecRequest, *guestproto.ExecResponse]{"exec", answerLimit, agent.Exec}
	outcomes := make(chan error, 1)
	// Also if ctx ends, somebody must wait for the answer: only then do both
	// sides agree on which channels are open.
	err = m.work(func() {
		resp, err := exec.do(context.WithoutCancel(ctx), m, wireProgram(p, r.app.channels))
		outcomes <- r.started(resp, err)
	})
	if err != nil {
		return nil, err
	}
	select {
	case err := <-outcomes:
		return r, err
	case <-ctx.Done():
		_ = m.work(func() {
			if <-outcomes == nil {
				r.abandon()
			}
		})
		return nil, fmt.Errorf("exec: %w", ctx.Err())
	case <-m.done:
		return nil, m.Err()
	}
}

// started takes in the answer.
func (r *Running) started(resp *guestproto.ExecResponse, err error) error {
	switch {
	case err == nil && resp.Failure.GetKind() == guestproto.StartFailure_KIND_NO_APP:
		err = fmt.Errorf("exec: %w", ErrNoApp)
	case err == nil && resp.Failure != nil:
		err = startError("", resp.Failure)
	case err == nil && (resp.Pid <= 0 || resp.Id == 0):
		err = r.machine.broken("program number %d started as process %d", resp.Id, resp.Pid)
	}
	if err != nil {
		r.app.closeStdio()
		return err
	}
	r.id, r.PID, r.Stdio = resp.Id, int(resp.Pid), r.app.stdio()
	return nil
}

// abandon ends a program that nobody wants any more, and waits for its end so
// that the machine can forget it.
func (r *Running) abandon() {
	r.app.closeStdio()
	_ = r.machine.work(func() {
		_ = r.Signal(context.Background(), syscall.SIGKILL)
		_, _ = r.Wait(context.Background())
	})
}

// openProgram opens a program's channels, which must be open before it starts.
func (m *Machine) openProgram(p Program) (*app, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return nil, m.err
	}
	if m.last > math.MaxUint32-2*channelsPerApp {
		return nil, errors.New("the session has no channels left")
	}
	a := &app{channels: &guestproto.Channels{}}
	if err := a.open(m.stdio, m.last, App{Terminal: p.Terminal, Stdin: p.Stdin}); err != nil {
		a.closeStdio()
		return nil, err
	}
	m.last += channelsPerApp
	return a, nil
}

// Wait returns how the program ended. Reading its output gives the rest then,
// and io.EOF. It must be called once for each program.
func (r *Running) Wait(ctx context.Context) (Exit, error) {
	agent, err := r.machine.agent()
	if err != nil {
		return Exit{}, err
	}
	wait := call[*guestproto.WaitExecRequest, *guestproto.WaitExecResponse]{"wait-exec", waitLimit, agent.WaitExec}
	for {
		resp, err := wait.do(ctx, r.machine, &guestproto.WaitExecRequest{Id: r.id})
		if err != nil {
			return Exit{}, err
		}
		if !resp.Ended {
			continue
		}
		e, ok := readExit(&guestproto.Exit{Code: resp.Code, Signal: resp.Signal, CoreDump: resp.CoreDump})
		if !ok {
			return Exit{}, r.machine.broken("a program ended with code %d, signal %d", resp.Code, resp.Signal)
		}
		return e, nil
	}
}

// Signal sends the program a signal; those that come from a terminal's keys go
// to its whole process group.
func (r *Running) Signal(ctx context.Context, s syscall.Signal) error {
	return r.machine.signal(ctx, &guestproto.SignalRequest{Signal: int32(s), Exec: r.id})
}

// Resize sets the size of the program's terminal.
func (r *Running) Resize(ctx context.Context, s Size) error {
	return r.machine.resize(ctx, &guestproto.ResizeRequest{Terminal: wireSize(&s), Exec: r.id})
}

func wireProgram(p Program, channels *guestproto.Channels) *guestproto.ExecRequest {
	var exec [][]byte
	for _, arg := range p.Exec {
		exec = append(exec, []byte(arg))
	}
	return &guestproto.ExecRequest{
		App:              p.App,
		Exec:             exec,
		Environment:      wireVariables(p.Environment),
		User:             p.User,
		Group:            p.Group,
		WorkingDirectory: p.WorkingDirectory,
		Privileged:       p.Privileged,
		Terminal:         wireSize(p.Terminal),
		Stdin:            p.Stdin,
		Channels:         channels,
	}
}
