package client

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"rkt/internal/guest/guestproto"
)

type scripted struct{ io.Reader }

func (scripted) Write(p []byte) (int, error) { return len(p), nil }
func (scripted) Close() error                { return nil }

// FuzzGuard feeds the control stream what a hostile machine might send, in
// pieces: what comes through is made of whole answers that are small enough.
func FuzzGuard(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 0, 0, 0, 1, 2, 0, 'h', 'i'}, 5)
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0}, 3)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 2, 0}, 100)
	f.Fuzz(func(t *testing.T, stream []byte, piece int) {
		g := newGuard(scripted{bytes.NewReader(stream)})
		request := []byte{0, 0, 0, 0, 0, 0, 0, 1, messageRequest, 0}
		if _, err := g.Write(request); err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 1+uint(piece)%64)
		passed := 0
		for {
			n, err := g.Read(p)
			passed += n
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				if g.violation() == nil {
					t.Errorf("error without a violation: %v", err)
				}
				break
			}
		}
		if passed > messageHeader+guestproto.MaxMessage+len(p) {
			t.Errorf("%d bytes passed for one request", passed)
		}
	})
}

// FuzzExit checks what a machine may say of an app's end.
func FuzzExit(f *testing.F) {
	f.Add("app", int32(0), int32(9))
	f.Add("app", int32(7), int32(0))
	f.Fuzz(func(t *testing.T, app string, code, signal int32) {
		e, ok := readExit(&guestproto.Exit{App: app, Code: code, Signal: signal})
		if ok && (e.Status() < 0 || e.Status() > 255) {
			t.Errorf("status %d", e.Status())
		}
	})
}

// FuzzPrintable checks that a machine's text can be shown on a terminal.
func FuzzPrintable(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b]0;title\x07\r\n\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		out := printable(s)
		if len(out) > len(s) && len(out) > guestproto.MaxText {
			t.Errorf("%d bytes became %d", len(s), len(out))
		}
		for _, r := range out {
			if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u202e' {
				t.Errorf("%q has %q", out, r)
			}
		}
	})
}
