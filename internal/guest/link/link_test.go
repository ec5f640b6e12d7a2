package link_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rkt/internal/guest/link"
)

// socket returns a path short enough for a socket's address.
func socket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "link")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "agent")
}

// pipe returns the reading end of a pipe that holds a text.
func pipe(t *testing.T, text string) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString(text); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	return r
}

func TestDescriptorsArriveByName(t *testing.T) {
	t.Parallel()
	path := socket(t)
	host, err := link.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	for _, name := range []string{"one", "two"} { // before the guest is there
		if err := host.Send(t.Context(), name, pipe(t, "this is "+name)); err != nil {
			t.Fatal(err)
		}
	}
	guest, err := link.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Send(t.Context(), "three", pipe(t, "this is three")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"three", "one", "two"} {
		f, err := guest.Take(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(f); string(got) != "this is "+name || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		_ = f.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := guest.Take(ctx, "one"); err == nil {
		t.Error("a descriptor could be taken twice")
	}
	host.Close()
	if _, err := guest.Take(t.Context(), "four"); err == nil {
		t.Error("a descriptor came out of a closed link")
	}
}

func TestOneGuestOnly(t *testing.T) {
	t.Parallel()
	path := socket(t)
	host, err := link.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	if err := host.Send(t.Context(), "x", pipe(t, "")); err != nil {
		t.Fatal(err)
	}
	guest, err := link.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := guest.Take(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if _, err := link.Dial(path); err == nil {
		t.Error("a second guest got through")
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	path := socket(t)
	host, err := link.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	for _, name := range []string{link.Control, link.Data} {
		listener, err := net.Listen("unix", path+name)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path + name, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		f, err := conn.File()
		if err != nil {
			t.Fatal(err)
		}
		if err := host.Send(t.Context(), name, f); err != nil {
			t.Fatal(err)
		}
	}
	guest, err := link.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	control, data, err := guest.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = control.Close(), data.Close()
}

func TestNamesAreBounded(t *testing.T) {
	t.Parallel()
	host, err := link.Listen(socket(t))
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	for _, name := range []string{"", strings.Repeat("x", 1000)} {
		if err := host.Send(t.Context(), name, nil); err == nil {
			t.Errorf("the name %q was taken", name)
		}
	}
}
