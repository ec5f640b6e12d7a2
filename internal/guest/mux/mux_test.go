package mux_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"

	"rkt/internal/guest/mux"
)

const number = 0x1122334455667788

// pair returns both sides of a session over a real socket pair.
func pair(t testing.TB) (a, b *mux.Session) {
	t.Helper()
	ca, cb := socketPair(t)
	a, b = mux.Open(ca, number), mux.Open(cb, number)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func socketPair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	conns := make([]net.Conn, 2)
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		if conns[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return conns[0], conns[1]
}

// channel opens one channel from a to b.
func channel(t testing.TB, a, b *mux.Session, n uint32) (*mux.Writer, *mux.Reader) {
	t.Helper()
	r, err := b.Receive(n)
	if err != nil {
		t.Fatal(err)
	}
	w, err := a.Send(n)
	if err != nil {
		t.Fatal(err)
	}
	return w, r
}

func TestBytesArriveInOrderOnManyChannels(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	var all sync.WaitGroup
	for n := range uint32(8) {
		src, dst := a, b
		if n%2 == 1 {
			src, dst = b, a
		}
		w, r := channel(t, src, dst, n+1)
		want := make([]byte, 3*mux.Window+int(n))
		_, _ = rand.Read(want)
		all.Go(func() {
			if _, err := w.Write(want); err != nil {
				t.Errorf("channel %d: write: %v", n+1, err)
			}
			w.Close()
		})
		all.Go(func() {
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("channel %d: %d bytes, %v; want %d", n+1, len(got), err, len(want))
			}
			<-w.Stopped()
		})
	}
	all.Wait()
}

func TestStalledReaderDelaysOnlyItsWriter(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	stalled, _ := channel(t, a, b, 1)
	w, r := channel(t, a, b, 2)
	if _, err := stalled.Write(make([]byte, mux.Window)); err != nil {
		t.Fatal(err)
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		if n, err := stalled.Write([]byte("x")); n != 0 || !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("beyond the window: %d bytes, %v; want none, closed", n, err)
		}
	})
	const rounds = 200
	writer.Go(func() {
		for range rounds {
			if _, err := w.Write(make([]byte, 10_000)); err != nil {
				t.Errorf("write: %v", err)
			}
		}
		w.Close()
		stalled.Close()
	})
	if n, err := io.Copy(io.Discard, r); n != rounds*10_000 || err != nil {
		t.Errorf("other channel: %d bytes, %v", n, err)
	}
	writer.Wait()
}

func TestReaderGone(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	w, r := channel(t, a, b, 1)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	<-w.Stopped()
	if _, err := w.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("write to a closed reader: %v", err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("read from a closed reader: %v", err)
	}
	w.Close()
	<-r.Ended()
	if a.Err() != nil || b.Err() != nil {
		t.Errorf("session suffered: %v, %v", a.Err(), b.Err())
	}
}

func TestNumberIsFreeAgainAfterTheEnd(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	for i := range 2 * mux.MaxChannels {
		w, r := channel(t, a, b, 7)
		w.Close()
		<-r.Ended()
		<-w.Stopped()
		if i == 0 {
			if _, err := io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestOpenRefusals(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	for n := range uint32(mux.MaxChannels) {
		if _, err := a.Receive(n + 1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Send(5); !errors.Is(err, mux.ErrInUse) {
		t.Errorf("number in use: %v", err)
	}
	if _, err := a.Send(0); !errors.Is(err, mux.ErrInUse) {
		t.Errorf("number 0: %v", err)
	}
	if _, err := a.Send(mux.MaxChannels + 1); !errors.Is(err, mux.ErrTooMany) {
		t.Errorf("one too many: %v", err)
	}
	a.Close()
	if _, err := a.Send(5); !errors.Is(err, mux.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

func TestEndOfSession(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	w, r := channel(t, a, b, 1)
	back, _ := channel(t, b, a, 2)
	if _, err := w.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 10)
	if _, err := io.ReadFull(r, got[:4]); err != nil {
		t.Fatal(err)
	}
	a.Close()
	<-b.Done()
	if rest, err := io.ReadAll(r); string(rest) != " words" || !errors.Is(err, mux.ErrEnded) {
		t.Errorf("rest = %q, %v; want it and ErrEnded", rest, err)
	}
	if _, err := back.Write([]byte("x")); err == nil {
		t.Error("write after the end works")
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, mux.ErrClosed) {
		t.Errorf("write after own close: %v", err)
	}
	<-w.Stopped()
	<-r.Ended()
}

// A broken frame must end the session with an error that names it.
func TestProtocolErrors(t *testing.T) {
	t.Parallel()
	hello := "\x01\x00\x00\x08\x00\x00\x00\x00\x11\x22\x33\x44\x55\x66\x77\x88"
	data := func(ch byte, n int) string {
		return string([]byte{2, 0, byte(n >> 8), byte(n), 0, 0, 0, ch}) + string(make([]byte, n))
	}
	for name, c := range map[string]struct{ send, want string }{
		"wrong session": {"\x01\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", "hello of another session"},
		"second hello":  {hello + hello, "second hello"},
		"early data":    {data(1, 1), "data before hello"},
		"no reader":     {hello + data(3, 1), "data on channel 3, which has no reader"},
		"wrong way":     {hello + data(2, 1), "data on channel 2, which has no reader"},
		"end twice":     {hello + "\x03\x00\x00\x00\x00\x00\x00\x01\x03\x00\x00\x00\x00\x00\x00\x01", "end on channel 1, which has no reader"},
		"after end":     {hello + "\x03\x00\x00\x00\x00\x00\x00\x01" + data(1, 1), "data on channel 1, which has no reader"},
		"stop twice":    {hello + "\x05\x00\x00\x00\x00\x00\x00\x02\x05\x00\x00\x00\x00\x00\x00\x02", "second stop on channel 2"},
		"free credit":   {hello + "\x04\x00\x00\x04\x00\x00\x00\x02\x00\x00\x00\x01", "credit of 1 on channel 2, which had 262144"},
		"no writer":     {hello + "\x04\x00\x00\x04\x00\x00\x00\x01\x00\x00\x00\x01", "credit on channel 1, which has no writer"},
		"late credit":   {hello + "\x05\x00\x00\x00\x00\x00\x00\x02\x04\x00\x00\x04\x00\x00\x00\x02\x00\x00\x00\x01", "credit after stop on channel 2"},
		"over window":   {hello + repeat(data(1, 32<<10), 8) + data(1, 1), "1 bytes on channel 1, which had 0 left"},
		"unknown type":  {hello + "\x09\x00\x00\x00\x00\x00\x00\x01", "bad frame: type 9"},
		"reserved":      {hello + "\x02\x01\x00\x01\x00\x00\x00\x01x", "bad frame: reserved byte is 1"},
		"empty data":    {hello + data(1, 0), "bad frame: data with 0 bytes"},
		"large data":    {hello + data(1, 32<<10+1), "bad frame: data with 32769 bytes"},
		"channel 0":     {hello + data(0, 1), "bad frame: data on channel 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := socketPair(t)
			s := mux.Open(near, number)
			defer s.Close()
			defer far.Close()
			if _, err := s.Receive(1); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Send(2); err != nil {
				t.Fatal(err)
			}
			go io.Copy(io.Discard, far)
			if _, err := io.WriteString(far, c.send); err != nil {
				t.Fatal(err)
			}
			<-s.Done()
			want := "data stream protocol error: " + c.want
			if err := s.Err(); !errors.Is(err, mux.ErrProtocol) || err.Error() != want {
				t.Errorf("error = %v\nwant    %v", err, want)
			}
		})
	}
}

func repeat(s string, n int) string { return string(bytes.Repeat([]byte(s), n)) }

// Close must not wait for a peer that takes nothing.
func TestCloseWithAStuckPeer(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe() // holds nothing: even the hello is stuck
	defer far.Close()
	s := mux.Open(near, number)
	w, err := s.Send(1)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	go func() {
		_, err := w.Write([]byte("x"))
		failed <- err
	}()
	w.Close()
	s.Close()
	if err := <-failed; err == nil {
		t.Error("stuck write succeeded")
	}
}

func BenchmarkOneChannel(b *testing.B) {
	for _, size := range []int{100, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			from, to := pair(b)
			w, r := channel(b, from, to, 1)
			b.SetBytes(int64(size))
			p := make([]byte, size)
			var reader sync.WaitGroup
			reader.Go(func() { _, _ = io.Copy(io.Discard, r) })
			for b.Loop() {
				if _, err := w.Write(p); err != nil {
					b.Fatal(err)
				}
			}
			w.Close()
			reader.Wait()
		})
	}
}
