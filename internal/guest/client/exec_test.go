package client_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"

	"rkt/internal/guest/client"
	"rkt/internal/guest/guestproto"
)

// execOf returns a peer that answers to Exec after the program has written a
// line, and closed its outputs.
func execOf(resp *guestproto.ExecResponse, end *guestproto.WaitExecResponse) *peer {
	return &peer{execEnd: end, exec: func(p *peer, req *guestproto.ExecRequest) *guestproto.ExecResponse {
		text := ""
		if resp.Failure == nil {
			text = string(bytes.Join(req.Exec, []byte(" "))) + "\n"
		}
		// Also if it did not start, both sides have had the channels open.
		p.write(req.Channels.Stdout, text)
		p.write(req.Channels.Stderr, "")
		return resp
	}}
}

func TestExec(t *testing.T) {
	t.Parallel()
	ended := &guestproto.WaitExecResponse{Ended: true, Signal: 9}
	m := serve(t, execOf(&guestproto.ExecResponse{Id: 1, Pid: 77}, ended))
	for range 2 { // the channels of the second are others
		r, err := m.Exec(t.Context(), client.Program{App: "a", Exec: []string{"echo", "x"}})
		if err != nil {
			t.Fatal(err)
		}
		exit, err := r.Wait(t.Context())
		if err != nil || exit.Status() != 128+9 || r.PID != 77 {
			t.Errorf("process %d ended with %d, %v", r.PID, exit.Status(), err)
		}
		out, err := io.ReadAll(r.Stdio.Stdout)
		if string(out) != "echo x\n" || err != nil {
			t.Errorf("output %q, %v", out, err)
		}
	}
}

func TestExecRefused(t *testing.T) {
	t.Parallel()
	failure := func(kind guestproto.StartFailure_Kind) *guestproto.ExecResponse {
		return &guestproto.ExecResponse{Failure: &guestproto.StartFailure{Kind: kind, Message: "it\x1b is not there"}}
	}
	m := serve(t, execOf(failure(guestproto.StartFailure_KIND_NO_BINARY), nil))
	_, err := m.Exec(t.Context(), client.Program{App: "a", Exec: []string{"x"}})
	var start *client.StartError
	if !errors.As(err, &start) || start.Failure != client.FailedNoBinary || err.Error() != "it? is not there" {
		t.Errorf("no binary: %v", err)
	}
	m = serve(t, execOf(failure(guestproto.StartFailure_KIND_NO_APP), nil))
	if _, err := m.Exec(t.Context(), client.Program{App: "a"}); !errors.Is(err, client.ErrNoApp) || m.Err() != nil {
		t.Errorf("no app: %v, session %v", err, m.Err())
	}
	huge := client.Program{App: "a", Exec: []string{strings.Repeat("x", 2*guestproto.MaxMessage)}}
	if _, err := m.Exec(t.Context(), huge); !errors.Is(err, client.ErrTooLarge) || m.Err() != nil {
		t.Errorf("too large: %v, session %v", err, m.Err())
	}
}

// TestExecHostile shows that what can't be true of a program ends the session.
func TestExecHostile(t *testing.T) {
	t.Parallel()
	for name, resp := range map[string]*guestproto.ExecResponse{
		"no process": {Id: 1}, "no number": {Pid: 7}, "negative": {Id: 1, Pid: -1},
	} {
		m := serve(t, execOf(resp, nil))
		if _, err := m.Exec(t.Context(), client.Program{}); !errors.Is(err, client.ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, end := range []*guestproto.WaitExecResponse{
		{Ended: true, Code: 256}, {Ended: true, Code: -1}, {Ended: true, Signal: int32(syscall.SIGKILL), Code: 1}, {Ended: true, Signal: 65},
	} {
		m := serve(t, execOf(&guestproto.ExecResponse{Id: 1, Pid: 2}, end))
		r, err := m.Exec(t.Context(), client.Program{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Wait(t.Context()); !errors.Is(err, client.ErrProtocol) {
			t.Errorf("%v: %v", end, err)
		}
	}
}
