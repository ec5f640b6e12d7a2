package vmtest_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"rkt/internal/guest/client"
	"rkt/internal/seccomp"
)

// defaultCapabilities is what apps get that ask for nothing.
var defaultCapabilities = strings.Fields("CAP_AUDIT_WRITE CAP_CHOWN CAP_DAC_OVERRIDE CAP_FSETID CAP_FOWNER CAP_KILL " +
	"CAP_MKNOD CAP_NET_RAW CAP_NET_BIND_SERVICE CAP_SETUID CAP_SETGID CAP_SETPCAP CAP_SETFCAP CAP_SYS_CHROOT")

// spec returns an app that does what args say, confined as usual.
func spec(name string, args ...string) client.App {
	return client.App{
		Name:         name,
		Disk:         client.Disk{LUN: firstLUN, Filesystem: "ext4", ReadOnly: true},
		Exec:         append([]string{"app"}, args...),
		User:         "0",
		Group:        "0",
		Environment:  []client.Variable{{Name: "PATH", Value: "/usr/bin:/bin"}, {Name: "HOME", Value: "/root"}},
		Capabilities: defaultCapabilities,
		Syscalls:     defaultFilter(),
		ProtectPaths: true,
	}
}

// defaultFilter is what apps get that ask for nothing.
func defaultFilter() *client.SyscallFilter {
	f := seccomp.Default(defaultCapabilities)
	filter := &client.SyscallFilter{Names: f.Calls, Errno: f.Errno}
	for _, n := range f.Numbers() {
		filter.Numbers = append(filter.Numbers, client.SyscallNumbers(n))
	}
	return filter
}

// output collects what an app writes, until both ends have come.
type output struct {
	stdout, stderr bytes.Buffer
	copying        sync.WaitGroup
	t              testing.TB
}

func (o *output) collect(stdio client.Stdio) {
	for _, c := range []struct {
		to   *bytes.Buffer
		from io.Reader
	}{{&o.stdout, stdio.Stdout}, {&o.stderr, stdio.Stderr}} {
		if c.from == nil {
			continue
		}
		o.copying.Go(func() {
			if _, err := io.Copy(c.to, c.from); err != nil {
				o.t.Errorf("read output: %v", err)
			}
		})
	}
}

// launch starts an app and collects its output.
func (m *machine) launch(t testing.TB, app client.App) *output {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	started, err := m.StartApp(ctx, app)
	if err != nil {
		t.Fatalf("%v", err)
	}
	o := &output{t: t}
	o.collect(started.Stdio)
	if started.Stdio.Stdin != nil {
		started.Stdio.Stdin.Close()
	}
	return o
}

// launchReady starts an app and returns when it says that it is ready.
func (m *machine) launchReady(t testing.TB, app client.App) client.Stdio {
	t.Helper()
	started, err := m.StartApp(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(started.Stdio.Stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%s says %q: %v", app.Name, line, err)
	}
	return started.Stdio
}

// exit waits for the end of the app that ends next.
func (m *machine) exit(t testing.TB) client.Exit {
	t.Helper()
	select {
	case e, ok := <-m.Exits():
		if !ok {
			t.Fatalf("session is over: %v", m.Err())
		}
		return e
	case <-time.After(testTimeout):
		t.Fatal("no app ended")
	}
	panic("unreachable")
}

// run runs an app to its end.
func (m *machine) runApp(t testing.TB, app client.App) (client.Exit, *output) {
	t.Helper()
	o := m.launch(t, app)
	e := m.exit(t)
	o.copying.Wait()
	if e.App != app.Name {
		t.Fatalf("%s ended instead of %s", e.App, app.Name)
	}
	return e, o
}

// shutdown ends the machine in order.
func (m *machine) shutdown(t testing.TB, timeout time.Duration) client.Goodbye {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	goodbye, err := m.Shutdown(ctx, timeout)
	if err != nil {
		t.Fatalf("shutdown: %v", err)
	}
	select {
	case <-m.ended:
	case <-ctx.Done():
		t.Fatal("the machine goes on")
	}
	return goodbye
}
