package vmtest_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rkt/internal/guest/client"
)

func TestTerminal(t *testing.T) {
	t.Parallel()
	m := boot(t)
	app := spec("shell", "terminal")
	app.User, app.Group = "web", "www"
	app.Terminal, app.Stdin = &client.Size{Rows: 24, Columns: 80}, true
	started, err := m.StartApp(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	if started.Stdio.Stderr != nil {
		t.Error("there is a stderr beside the terminal")
	}
	said := bufio.NewScanner(started.Stdio.Stdout)
	expect := func(want string) {
		t.Helper()
		if !said.Scan() || strings.TrimSuffix(said.Text(), "\r") != want {
			t.Fatalf("terminal says %q, not %q (%v)", said.Text(), want, said.Err())
		}
	}
	expect("size 24 80 <nil>")
	expect("name /dev/pts/0 <nil>")
	expect("controlling <nil>")
	if err := m.Resize(t.Context(), "shell", client.Size{Rows: 50, Columns: 132}); err != nil {
		t.Fatal(err)
	}
	expect("size 50 132 <nil>")
	if _, err := io.WriteString(started.Stdio.Stdin, "hello\n"); err != nil {
		t.Fatal(err)
	}
	expect("hello") // the terminal's echo
	expect("line hello")
	if err := started.Stdio.Stdin.Close(); err != nil {
		t.Fatal(err)
	}
	expect("end of input")
	if said.Scan() {
		t.Errorf("and then %q", said.Text())
	}
	if e := m.exit(t); e.Status() != 0 {
		t.Errorf("exit = %+v", e)
	}
	if err := m.Resize(t.Context(), "shell", client.Size{Rows: 1, Columns: 1}); err == nil {
		t.Error("a terminal that is gone was resized")
	}
	m.shutdown(t, time.Second)
}

// A terminal that goes away with its app says all that was written to it.
func TestTerminalOutputIsComplete(t *testing.T) {
	t.Parallel()
	m := boot(t)
	app := spec("loud", "spam", "1")
	app.Terminal = &client.Size{Rows: 24, Columns: 80}
	started, err := m.StartApp(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, started.Stdio.Stdout)
	// Two megabytes, and a carriage return before each of the line feeds.
	newlines := int64(1<<20) / 17
	if want := 2 * (int64(1<<20) + newlines); n != want || err != nil {
		t.Errorf("%d bytes, %v; want %d", n, err, want)
	}
	m.exit(t)
	m.shutdown(t, time.Second)
}

func TestInputAndOutput(t *testing.T) {
	t.Parallel()
	m := boot(t)
	app := spec("cat", "cat")
	app.Stdin = true
	started, err := m.StartApp(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	sent := bytes.Repeat([]byte("all of it must come back\n"), 100_000)
	var writer sync.WaitGroup
	writer.Go(func() {
		if _, err := started.Stdio.Stdin.Write(sent); err != nil {
			t.Errorf("write: %v", err)
		}
		started.Stdio.Stdin.Close()
	})
	back, err := io.ReadAll(started.Stdio.Stdout)
	if err != nil || sha256.Sum256(back) != sha256.Sum256(sent) {
		t.Errorf("%d bytes came back of %d: %v", len(back), len(sent), err)
	}
	if said, err := io.ReadAll(started.Stdio.Stderr); err != nil || string(said) != "2500000 <nil>\n" {
		t.Errorf("stderr: %q, %v", said, err)
	}
	writer.Wait()
	m.exit(t)
	m.shutdown(t, time.Second)
}

// An app whose output nobody reads delays no other, and loses nothing.
func TestStalledOutput(t *testing.T) {
	t.Parallel()
	m := boot(t)
	stalled, err := m.StartApp(t.Context(), spec("stalled", "spam", "4"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"first", "second"} {
		if e, o := m.runApp(t, spec(name, "spam", "2")); e.Status() != 0 || o.stdout.Len() != 2<<20 || o.stderr.Len() != 2<<20 {
			t.Errorf("%s: %+v, %d and %d bytes", name, e, o.stdout.Len(), o.stderr.Len())
		}
	}
	o := &output{t: t}
	o.collect(stalled.Stdio)
	goodbye := m.shutdown(t, time.Minute)
	o.copying.Wait()
	if len(goodbye.Exits) != 3 {
		t.Errorf("goodbye = %+v", goodbye)
	}
}

// An app whose output is closed learns of it as it would on a host.
func TestClosedOutput(t *testing.T) {
	t.Parallel()
	m := boot(t)
	started, err := m.StartApp(t.Context(), spec("unheard", "spam", "4"))
	if err != nil {
		t.Fatal(err)
	}
	started.Stdio.Stdout.Close()
	started.Stdio.Stderr.Close()
	if e := m.exit(t); e.Signal != syscall.SIGPIPE {
		t.Errorf("exit = %+v", e)
	}
	m.shutdown(t, time.Second)
}

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	m := boot(t)
	app := spec("hungry", "memory", "64")
	app.MemoryMax = 32 << 20
	e, o := m.runApp(t, app)
	if e.Signal != syscall.SIGKILL || o.stdout.Len() != 0 {
		t.Errorf("exit = %+v, %q", e, o.stdout.String())
	}
	if !e.OOMKilled {
		t.Error("not said to be killed for its memory")
	}
	m.shutdown(t, time.Second)
}
