package vmtest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"rkt/internal/guest/client"
)

func TestAppsThatDoNotStart(t *testing.T) {
	t.Parallel()
	m := boot(t)
	change := func(f func(*client.App)) client.App {
		app := spec("broken", "exit", "0")
		f(&app)
		return app
	}
	for name, c := range map[string]struct {
		app     client.App
		failure client.Failure
		message string
	}{
		"user": {
			change(func(a *client.App) { a.User = "nobody-here" }),
			client.FailedUser, `invalid user "nobody-here"`,
		},
		"user-file": {
			change(func(a *client.App) { a.User = "/data/missing" }),
			client.FailedUser, `invalid user "/data/missing": open /data/missing: no such file or directory`,
		},
		"group": {
			change(func(a *client.App) { a.Group = "nobody-here" }),
			client.FailedGroup, `invalid group "nobody-here"`,
		},
		"nothing": {
			change(func(a *client.App) { a.Exec = nil }),
			client.FailedEmptyExec, `app has an empty "exec"`,
		},
		"program": {
			change(func(a *client.App) { a.Exec = []string{"nosuch"} }),
			client.FailedNoBinary, `unable to find "nosuch" in "/usr/bin:/bin"`,
		},
		"absolute-program": {
			change(func(a *client.App) { a.Exec = []string{"/bin/nosuch"} }),
			client.FailedNoBinary, `unable to find "/bin/nosuch" in the image`,
		},
		"not-executable": {
			change(func(a *client.App) { a.Exec = []string{"plain"} }),
			client.FailedNoBinary, `unable to find "plain" in "/usr/bin:/bin"`,
		},
		"interpreter": {
			change(func(a *client.App) { a.Exec = []string{"script"} }),
			client.FailedNoBinary, `unable to find "/bin/nosuchshell", which is to interpret "/bin/script"`,
		},
		"garbage": {
			change(func(a *client.App) { a.Exec = []string{"garbage"} }),
			client.FailedNoBinary, `"/bin/garbage": neither a script nor a program of this kind of machine`,
		},
		"directory": {
			change(func(a *client.App) { a.WorkingDirectory = "/nosuch" }),
			client.FailedSetup, `working directory "/nosuch": open /nosuch: no such file or directory`,
		},
		"variable": {
			change(func(a *client.App) { a.Environment = []client.Variable{{Name: "a.b"}} }),
			client.FailedSetup, `environment variable "a.b"`,
		},
		"capability": {
			change(func(a *client.App) { a.Capabilities = []string{"CAP_NONSENSE"} }),
			client.FailedSetup, `unknown capability "CAP_NONSENSE"`,
		},
		"disk-type": {
			change(func(a *client.App) { a.Disk.Filesystem = "ntfs" }),
			client.FailedDisk, `unknown file system "ntfs"`,
		},
		"disk-contents": {
			change(func(a *client.App) { a.Disk.Filesystem = "erofs" }),
			client.FailedDisk, "mount image",
		},
		"name": {
			change(func(a *client.App) { a.Name = "../agent" }),
			client.FailedSetup, `"../agent" can't be the name of an app`,
		},
	} {
		c.app.Name += "-" + name
		if name == "name" {
			c.app.Name = "../agent"
		}
		_, err := m.StartApp(t.Context(), c.app)
		var start *client.StartError
		if !errors.As(err, &start) || start.Failure != c.failure || !strings.Contains(start.Message, c.message) {
			t.Errorf("%s: %v (%+v)", name, err, start)
		}
	}
	if _, o := m.runApp(t, spec("after", "say", "fine")); o.stdout.String() != "fine\n" {
		t.Errorf("after all that, the machine says %q", o.stdout.String())
	}
	if goodbye := m.shutdown(t, time.Second); len(goodbye.Exits) != 1 {
		t.Errorf("goodbye = %+v", goodbye)
	}
}

func TestDiskThatNeverComes(t *testing.T) {
	t.Parallel()
	m := boot(t)
	app := spec("waiting", "exit", "0")
	app.Disk.LUN = 99
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := m.StartApp(ctx, app); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("start = %v", err)
	}
	if m.Err() != nil {
		t.Errorf("the session suffered: %v", m.Err())
	}
	if _, o := m.runApp(t, spec("other", "say", "fine")); o.stdout.String() != "fine\n" {
		t.Errorf("another app says %q", o.stdout.String())
	}
}

// A machine that ends under the apps is lost, and said to be.
func TestLostMachine(t *testing.T) {
	t.Parallel()
	m := boot(t)
	o := m.launch(t, spec("app", "wait"))
	o.t = ignoreErrors{t}
	if err := m.process.Kill(); err != nil {
		t.Fatal(err)
	}
	if e, ok := <-m.Exits(); ok {
		t.Errorf("exit of %+v", e)
	}
	if !errors.Is(m.Err(), client.ErrLost) {
		t.Errorf("session ended with %v", m.Err())
	}
	o.copying.Wait()
}

// ignoreErrors is for output that is expected to break off.
type ignoreErrors struct{ testing.TB }

func (i ignoreErrors) Errorf(format string, args ...any) { i.Logf(format, args...) }

// A machine whose agent is gone ends by itself.
func TestLostAgent(t *testing.T) {
	t.Parallel()
	m := boot(t)
	app := spec("killer", "kill-agent")
	app.AllCapabilities, app.Syscalls = true, nil
	if _, err := m.StartApp(t.Context(), app); err != nil && !errors.Is(err, client.ErrLost) {
		t.Fatal(err)
	}
	select {
	case <-m.ended:
	case <-time.After(testTimeout):
		t.Fatal("the machine goes on")
	}
	<-m.Done()
	if !errors.Is(m.Err(), client.ErrLost) {
		t.Errorf("session ended with %v", m.Err())
	}
}

// The agent has one over it that ends the machine with it, is not what is killed for
// memory, and has the processors when it is needed.
func TestKeptAgent(t *testing.T) {
	t.Parallel()
	m := boot(t)
	_, o := m.runApp(t, spec("app", "agent"))
	const want = "parent init nice map[0:true] oom -1000 in 0::/init.scope\n"
	if got := o.stdout.String(); got != want {
		t.Errorf("the app says %q, want %q", got, want)
	}
}

func TestOrderOfCalls(t *testing.T) {
	t.Parallel()
	m := start(t)
	if _, err := m.Hello(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Hello(t.Context()); err == nil {
		t.Error("second hello works")
	}
	if _, err := m.StartApp(t.Context(), spec("early", "exit", "0")); err == nil || !strings.Contains(err.Error(), "not configured") {
		t.Errorf("start before configure: %v", err)
	}
}
