package client

import (
	"context"
	"errors"
	"fmt"
	"math"

	"rkt/internal/guest/guestproto"
	"rkt/internal/guest/mux"
)

// app is an app from the request to start it on.
type app struct {
	name    string
	decided chan struct{} // closed when the start has succeeded or failed
	running bool          // how it was decided
	exit    *Exit         // what the machine told of its end; guarded by Machine.mu

	channels *guestproto.Channels
	stdin    *mux.Writer // nil if the app has none
	stdout   *mux.Reader
	stderr   *mux.Reader // nil if the app has a terminal
	syslog   *mux.Reader // nil if nobody wants it
}

// StartApp starts an app and returns when its program was executed. The error
// is a *StartError if only this app is concerned. Its disk must have been
// added to the machine, or be about to be. A name may be used once.
func (m *Machine) StartApp(ctx context.Context, spec App) (Started, error) {
	agent, err := m.agent()
	if err != nil {
		return Started{}, err
	}
	// Once channels are open, the machine must hear of them.
	err = sendable(wireApp(spec, &guestproto.Channels{Stdin: math.MaxUint32, Stdout: math.MaxUint32, Stderr: math.MaxUint32, Syslog: math.MaxUint32}))
	if err != nil {
		return Started{}, fmt.Errorf("start app %q: %w", printable(spec.Name), err)
	}
	a, err := m.addApp(spec)
	if err != nil {
		return Started{}, fmt.Errorf("start app %q: %w", spec.Name, err)
	}
	type outcome struct {
		started Started
		err     error
	}
	outcomes := make(chan outcome, 1)
	// Also if ctx ends, somebody must wait for the answer: only then do both
	// sides agree on which channels are open.
	err = m.work(func() {
		started, err := m.startApp(context.WithoutCancel(ctx), agent, a, spec)
		outcomes <- outcome{started, err}
	})
	if err != nil {
		close(a.decided)
		return Started{}, err
	}
	select {
	case o := <-outcomes:
		return o.started, o.err
	case <-ctx.Done():
		_ = m.work(func() {
			<-outcomes
			a.closeStdio() // nobody will read it
		})
		return Started{}, fmt.Errorf("start app %q: %w", spec.Name, ctx.Err())
	case <-m.done:
		return Started{}, m.Err()
	}
}

// startApp makes the call and settles what became of the app.
func (m *Machine) startApp(ctx context.Context, agent guestproto.GuestService, a *app, spec App) (Started, error) {
	defer close(a.decided)
	start := call[*guestproto.StartAppRequest, *guestproto.StartAppResponse]{"start", answerLimit, agent.StartApp}
	resp, err := start.do(ctx, m, wireApp(spec, a.channels))
	if err == nil && resp.Failure != nil {
		err = startError(a.name, resp.Failure)
	}
	if err == nil && resp.Pid <= 0 {
		err = m.broken("app started as process %d", resp.Pid)
	}
	if err != nil {
		a.closeStdio()
		return Started{}, err
	}
	a.running = true
	return Started{PID: int(resp.Pid), Stdio: a.stdio()}, nil
}

// addApp opens an app's channels, which must be open before it starts.
func (m *Machine) addApp(spec App) (*app, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.err != nil:
		return nil, m.err
	case m.apps[spec.Name] != nil:
		return nil, errors.New("the name is in use")
	case m.starts == guestproto.MaxApps:
		return nil, fmt.Errorf("a machine takes %d apps", guestproto.MaxApps)
	}
	a := &app{name: spec.Name, decided: make(chan struct{}), channels: &guestproto.Channels{}}
	if err := a.open(m.stdio, m.last, spec); err != nil {
		a.closeStdio()
		return nil, err
	}
	m.starts++
	m.last += channelsPerApp
	m.apps[spec.Name] = a
	return a, nil
}

const channelsPerApp = 4

// open opens the channels after the given number that the app needs.
func (a *app) open(s *mux.Session, last uint32, spec App) (err error) {
	if spec.Stdin {
		a.channels.Stdin = last + 1
		if a.stdin, err = s.Send(a.channels.Stdin); err != nil {
			return err
		}
	}
	a.channels.Stdout = last + 2
	if a.stdout, err = s.Receive(a.channels.Stdout); err != nil {
		return err
	}
	if spec.Syslog {
		a.channels.Syslog = last + 4
		if a.syslog, err = s.Receive(a.channels.Syslog); err != nil {
			return err
		}
	}
	if spec.Terminal == nil {
		a.channels.Stderr = last + 3
		if a.stderr, err = s.Receive(a.channels.Stderr); err != nil {
			return err
		}
	}
	return nil
}

// stdio returns the app's channels for the caller: no typed nil in them.
func (a *app) stdio() Stdio {
	s := Stdio{Stdout: a.stdout}
	if a.stdin != nil {
		s.Stdin = a.stdin
	}
	if a.stderr != nil {
		s.Stderr = a.stderr
	}
	if a.syslog != nil {
		s.Syslog = a.syslog
	}
	return s
}

func (a *app) closeStdio() {
	if a.stdin != nil {
		a.stdin.Close()
	}
	for _, r := range a.outputs() {
		r.Close()
	}
}

func (a *app) outputs() []*mux.Reader {
	var outputs []*mux.Reader
	for _, r := range []*mux.Reader{a.stdout, a.stderr, a.syslog} {
		if r != nil {
			outputs = append(outputs, r)
		}
	}
	return outputs
}

func startError(app string, f *guestproto.StartFailure) *StartError {
	failure := FailedSetup
	switch f.Kind {
	case guestproto.StartFailure_KIND_USER:
		failure = FailedUser
	case guestproto.StartFailure_KIND_GROUP:
		failure = FailedGroup
	case guestproto.StartFailure_KIND_EMPTY_EXEC:
		failure = FailedEmptyExec
	case guestproto.StartFailure_KIND_NO_BINARY:
		failure = FailedNoBinary
	case guestproto.StartFailure_KIND_DISK:
		failure = FailedDisk
	case guestproto.StartFailure_KIND_SETUP, guestproto.StartFailure_KIND_UNSPECIFIED,
		guestproto.StartFailure_KIND_NO_APP, guestproto.StartFailure_KIND_TOO_MANY:
	}
	return &StartError{App: app, Failure: failure, Message: printable(f.Message)}
}
