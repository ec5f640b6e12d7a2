package vmtest_test

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rkt/internal/guest/client"
)

func TestHowAppsEnd(t *testing.T) {
	t.Parallel()
	m := boot(t)
	var want []client.Exit
	for i, c := range []struct {
		args []string
		exit client.Exit
	}{
		{[]string{"exit", "0"}, client.Exit{App: "zero"}},
		{[]string{"exit", "7"}, client.Exit{App: "seven", Code: 7}},
		// What systemd itself uses for "could not execute".
		{[]string{"exit", "203"}, client.Exit{App: "systemd-like", Code: 203}},
		{[]string{"exit", "255"}, client.Exit{App: "most", Code: 255}},
		{[]string{"kill", "9"}, client.Exit{App: "killed", Signal: syscall.SIGKILL}},
		{[]string{"kill", "15"}, client.Exit{App: "terminated", Signal: syscall.SIGTERM}},
		{[]string{"orphan", "stubborn"}, client.Exit{App: "parent", Code: 5}},
	} {
		c.exit.Order = i
		want = append(want, c.exit)
		got, o := m.runApp(t, spec(c.exit.App, c.args...))
		if diff := cmp.Diff(c.exit, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s%s", c.exit.App, diff, o.stderr.String())
		}
	}
	goodbye := m.shutdown(t, time.Second)
	if diff := cmp.Diff(want, goodbye.Exits); diff != "" {
		t.Errorf("goodbye (-want +got):\n%s", diff)
	}
	if out, err := exec.CommandContext(t.Context(), "e2fsck", "-fn", m.scratch).CombinedOutput(); err != nil {
		t.Errorf("scratch is not clean: %v\n%s", err, out)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	m := boot(t)
	for _, c := range []struct {
		name, does string
		timeout    time.Duration
		want       client.Exit
	}{
		{"polite", "wait", time.Minute, client.Exit{App: "polite", Code: 3}},
		{"stubborn", "stubborn", time.Second, client.Exit{App: "stubborn", Signal: syscall.SIGKILL, Order: 1}},
	} {
		m.launchReady(t, spec(c.name, c.does))
		if err := m.StopApp(t.Context(), c.name, c.timeout); err != nil {
			t.Fatalf("stop %s: %v", c.name, err)
		}
		if diff := cmp.Diff(c.want, m.exit(t)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if err := m.StopApp(t.Context(), "polite", time.Second); err == nil || !strings.Contains(err.Error(), client.ErrNoApp.Error()) {
		t.Errorf("stop what has ended: %v", err)
	}
	m.launchReady(t, spec("signalled", "wait"))
	if err := m.Signal(t.Context(), "signalled", syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if e := m.exit(t); e.Status() != 3 {
		t.Errorf("signalled: %+v", e)
	}
	m.shutdown(t, time.Second)
}
