package client

import (
	"context"
	"slices"
	"syscall"

	"rkt/internal/guest/guestproto"
)

// followEvents asks for events until the session is over.
func (m *Machine) followEvents() {
	agent, err := m.agent()
	if err != nil {
		return
	}
	next := call[*guestproto.NextEventsRequest, *guestproto.NextEventsResponse]{"events", eventsLimit, agent.NextEvents}
	var after uint64
	for {
		resp, err := next.do(context.Background(), m, &guestproto.NextEventsRequest{After: after})
		if err != nil {
			if m.Err() == nil {
				m.broken("answer to events: %w", err)
			}
			return
		}
		if resp.Last != after+uint64(len(resp.Exits)) {
			m.broken("%d events after number %d are said to end with number %d", len(resp.Exits), after, resp.Last)
			return
		}
		for i, e := range resp.Exits {
			if _, err := m.takeExit(e, int(after)+i); err != nil {
				return
			}
		}
		after = resp.Last
	}
}

// takeExit notes how an app ended, and reports it when its output is complete.
// Being told the same again changes nothing. The error has ended the session.
func (m *Machine) takeExit(told *guestproto.Exit, order int) (Exit, error) {
	e, ok := readExit(told)
	if !ok {
		return Exit{}, m.broken("app %q ended with code %d, signal %d", printable(told.App), told.Code, told.Signal)
	}
	e.Order = order
	m.mu.Lock()
	a := m.apps[e.App]
	known := a != nil && a.exit != nil
	same := known && *a.exit == e
	fresh := a != nil && !known && order == m.exited
	if fresh {
		a.exit = &e
		m.exited++
	}
	m.mu.Unlock()
	switch {
	case a == nil:
		return Exit{}, m.broken("an app nobody started ended: %q", printable(e.App))
	case same:
		return e, nil
	case !fresh:
		return Exit{}, m.broken("app %q ended twice, or out of order", e.App)
	}
	return e, m.work(func() { m.report(a, e) })
}

// readExit checks what a machine says about an app's end.
func readExit(e *guestproto.Exit) (Exit, bool) {
	const maxSignal = 64
	if e.Code < 0 || e.Code > 255 || e.Signal < 0 || e.Signal > maxSignal || e.Code != 0 && e.Signal != 0 {
		return Exit{}, false
	}
	return Exit{
		App:       e.App,
		Code:      int(e.Code),
		Signal:    syscall.Signal(e.Signal),
		CoreDump:  e.CoreDump,
		OOMKilled: e.OomKilled,
	}, true
}

// report sends an exit when all the app's output is here.
func (m *Machine) report(a *app, e Exit) {
	<-a.decided // at the latest when the session is over
	if m.Err() != nil && !a.running {
		return
	}
	if !a.running {
		m.broken("app %q ended without having started", a.name)
		return
	}
	for _, r := range a.outputs() {
		<-r.Ended()
		if !r.Complete() {
			return // the session ended first
		}
	}
	m.exits <- e // has room for every app there can be
}

// goodbye checks a machine's last word, and returns when all of it has been
// reported.
func (m *Machine) goodbye(ctx context.Context, told []*guestproto.Exit) (Goodbye, error) {
	var g Goodbye
	for i, t := range told {
		e, err := m.takeExit(t, i)
		if err != nil {
			return Goodbye{}, err
		}
		g.Exits = append(g.Exits, e)
	}
	for _, a := range m.appsRunning() {
		ended := slices.ContainsFunc(g.Exits, func(e Exit) bool { return e.App == a.name })
		if !ended {
			return Goodbye{}, m.broken("goodbye says nothing of app %q", a.name)
		}
		for _, r := range a.outputs() {
			select {
			case <-r.Ended():
			case <-ctx.Done():
				return Goodbye{}, ctx.Err()
			}
		}
	}
	return g, nil
}

// appsRunning returns the apps that started, ended or not.
func (m *Machine) appsRunning() []*app {
	m.mu.Lock()
	defer m.mu.Unlock()
	var running []*app
	for _, a := range m.apps {
		select {
		case <-a.decided:
			if a.running {
				running = append(running, a)
			}
		default:
		}
	}
	return running
}
