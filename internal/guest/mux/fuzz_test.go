package mux

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// scripted is a stream that brings the given bytes, then its end.
type scripted struct{ io.Reader }

func (scripted) Write(p []byte) (int, error) { return len(p), nil }
func (scripted) Close() error                { return nil }

// FuzzSession feeds a session what a hostile machine might send. Whatever it
// is, the session ends, and holds no more than it granted.
func FuzzSession(f *testing.F) {
	frame := func(k kind, channel uint32, payload ...byte) []byte {
		b := make([]byte, headerSize, headerSize+len(payload))
		header{k, len(payload), channel}.put(b)
		return append(b, payload...)
	}
	hello := frame(kindHello, 0, 0, 0, 0, 0, 0, 0, 0, 42)
	f.Add(hello)
	f.Add(bytes.Join([][]byte{hello, frame(kindData, 1, 'x'), frame(kindEnd, 1), frame(kindStop, 2)}, nil))
	f.Add(bytes.Join([][]byte{hello, frame(kindCredit, 2, 0, 0, 0, 1)}, nil))
	f.Add(bytes.Join([][]byte{hello, frame(kindData, 3, 'x', 'y'), frame(kindStop, 2), frame(kindStop, 2)}, nil))
	f.Fuzz(func(t *testing.T, stream []byte) {
		s := Open(scripted{bytes.NewReader(stream)}, 42)
		r, err := s.Receive(1)
		if err != nil {
			return // the stream was over already
		}
		closed, err := s.Receive(3)
		if err == nil {
			closed.Close()
		}
		if w, err := s.Send(2); err == nil {
			_, _ = w.Write([]byte("hello"))
			w.Close()
		}
		<-s.Done()
		<-r.Ended()
		if n := r.buf.Len(); n > Window {
			t.Errorf("reader holds %d bytes", n)
		}
		if err := s.Err(); !errors.Is(err, ErrEnded) && !errors.Is(err, ErrProtocol) {
			t.Errorf("session ended with %v", err)
		}
		s.Close()
	})
}

// FuzzHeader checks that whatever parses comes out of put the same.
func FuzzHeader(f *testing.F) {
	f.Add([]byte{1, 0, 0, 8, 0, 0, 0, 0})
	f.Add([]byte{2, 0, 0x80, 0, 0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < headerSize {
			return
		}
		h, err := parseHeader(b)
		if err != nil {
			return
		}
		var again [headerSize]byte
		h.put(again[:])
		if !bytes.Equal(again[:], b[:headerSize]) {
			t.Errorf("% x parses as %+v, which is % x", b[:headerSize], h, again)
		}
	})
}
