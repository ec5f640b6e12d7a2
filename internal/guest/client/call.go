package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"rkt/internal/fault"
	"rkt/internal/guest/guestproto"
)

// How long the agent may take to answer. Emulated machines on busy hosts are
// slow, so these only tell a slow agent from a dead one.
const (
	bootLimit   = 5 * time.Minute
	answerLimit = 2 * time.Minute
	// eventsLimit must be beyond what NextEvents waits by itself.
	eventsLimit = 5 * time.Minute
)

// messageSlack is room for what ttrpc wraps a request in.
const messageSlack = 1 << 10

// call is one call on its way: name is what fault points and errors say.
type call[Request, Response proto.Message] struct {
	name  string
	limit time.Duration // at least; the context's deadline may be later
	to    func(context.Context, Request) (Response, error)
}

// do makes the call and waits for its answer or ctx. The call itself isn't
// given up with ctx: the answer to a request that nobody waits for could not
// be told from a stray one. Only its limit ends it, and the session with it.
func (c call[Request, Response]) do(ctx context.Context, m *Machine, req Request) (Response, error) {
	var none Response
	if err := sendable(req); err != nil {
		return none, fmt.Errorf("%s: %w", c.name, err)
	}
	limit := c.limit
	if deadline, ok := ctx.Deadline(); ok {
		limit = max(limit, time.Until(deadline))
	}
	type answer struct {
		resp Response
		err  error
	}
	answers := make(chan answer, 1)
	err := m.work(func() {
		fault.Point("guest." + c.name + ".before")
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		defer cancel()
		resp, err := c.to(limited, req)
		if err != nil && limited.Err() != nil {
			m.fail(fmt.Errorf("%w: no answer to %s in %v", ErrLost, c.name, limit.Round(time.Second)))
		}
		fault.Point("guest." + c.name + ".after")
		answers <- answer{resp, m.explain(c.name, err)}
	})
	if err != nil {
		return none, err
	}
	select {
	case a := <-answers:
		return a.resp, a.err
	case <-ctx.Done():
		return none, fmt.Errorf("%s: %w", c.name, ctx.Err())
	case <-m.done:
		return none, m.Err()
	}
}

// sendable returns why a request can't be sent, or nil.
func sendable(req proto.Message) error {
	wire, err := proto.Marshal(req)
	if err != nil {
		return err
	}
	if len(wire) > guestproto.MaxMessage-messageSlack {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, len(wire))
	}
	return nil
}

// explain turns a call's error into one of ours. What is not the agent's own
// word is the stream's end, or an answer that can't be read.
func (m *Machine) explain(name string, err error) error {
	if err == nil {
		return nil
	}
	s, ok := status.FromError(err)
	switch {
	case ok && s.Code() == codes.NotFound:
		return fmt.Errorf("%s: %w", name, ErrNoApp)
	case ok:
		return fmt.Errorf("%s: %s", name, printable(s.Message()))
	case errors.Is(err, ttrpc.ErrClosed):
		<-m.done // ttrpc tells both at about the same time
		return m.Err()
	case m.control.violation() != nil:
		m.controlEnded()
		return m.Err()
	}
	return m.broken("answer to %s: %w", name, err)
}

// printable makes one bounded line of what a machine wrote for people.
func printable(s string) string {
	if len(s) > guestproto.MaxText {
		s = s[:guestproto.MaxText]
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError:
			return '?'
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return '?'
	}, s))
}
