package vm

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// appStopTime is how long apps get after SIGTERM. Source: the founding page,
// "Pod end and exit status".
const appStopTime = 10 * time.Second

func TestExitStatus(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		want int
	}{
		{"success", []string{"exit", "0"}, 0},
		{"failure", []string{"exit", "7"}, 7},
		{"largest", []string{"exit", "255"}, 255},
		{"what systemd says when it can't execute", []string{"exit", "203"}, 203},
		{"SIGKILL", []string{"die", "9"}, 137},
		{"SIGHUP", []string{"die", "1"}, 129},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			p, r := h.run(append([]string{probeID(t), "--cpu=1", "--"}, test.args...)...)
			p.expect(test.want)
			if r.Stdout != "" {
				t.Errorf("stdout: %q", r.Stdout)
			}
			expectStatus(t, h.status(p.uuid()), "exited", map[string]int{"probe": test.want})
		})
	}
}

// expectStatus checks what rkt status says of a pod and its apps.
func expectStatus(t *testing.T, status map[string]string, state string, apps map[string]int) {
	t.Helper()
	if status["state"] != state {
		t.Errorf("state %q, want %q", status["state"], state)
	}
	for app, want := range apps {
		if got := status["app-"+app]; got != strconv.Itoa(want) {
			t.Errorf("app-%s=%s, want %d", app, got, want)
		}
	}
	for name := range status {
		app, isApp := strings.CutPrefix(name, "app-")
		if _, known := apps[app]; isApp && !known {
			t.Errorf("unexpected %s=%s", name, status[name])
		}
	}
}

// TestSecondAppFails shows whose status a pod has and what becomes of the other
// app.
func TestSecondAppFails(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := probeID(t)
	p, r := h.run(
		id, "--name=first", "--cpu=1", "--", "sleep", "-status", "4", "-announce", "127.0.0.1:7000", "---",
		id, "--name=second", "--cpu=1", "--", "exit", "-after", "127.0.0.1:7000", "3")
	p.expect(3)
	expectStatus(t, h.status(p.uuid()), "exited", map[string]int{"first": 4, "second": 3})
	if got, want := texts(t, r.Stdout, "first"), []string{"ready", "terminated"}; !slices.Equal(got, want) {
		t.Errorf("the first app said %q, want %q", got, want)
	}
}

// TestAllSucceed shows that a pod lasts as long as its last app.
func TestAllSucceed(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := probeID(t)
	p := h.start(
		id, "--name=server", "--cpu=1", "--", "listen", "127.0.0.1:7000", "---",
		id, "--name=client", "--cpu=1", "--", "connect", "localhost:7000", "hello")
	r := p.expect(0)
	expectStatus(t, h.status(p.uuid()), "exited", map[string]int{"server": 0, "client": 0})
	if got, want := texts(t, r.Stdout, "server"), []string{"got hello"}; !slices.Equal(got, want) {
		t.Errorf("the server said %q, want %q", got, want)
	}
	if got, want := texts(t, r.Stdout, "client"), []string{"answer hello hello"}; !slices.Equal(got, want) {
		t.Errorf("the client said %q, want %q", got, want)
	}
}

// TestIgnoredSIGTERM shows that an app that stays is killed when its time is
// over, and not before.
func TestIgnoredSIGTERM(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start(probeID(t), "--cpu=1", "--", "sleep", "-ignore")
	p.out.await(t, "ready")
	begin := time.Now()
	h.must("stop", p.uuid())
	took := time.Since(begin)
	p.expect(128 + 9)
	if took < appStopTime-time.Second {
		t.Errorf("it took %v, want at least %v", took, appStopTime)
	}
	expectStatus(t, h.status(p.uuid()), "exited", map[string]int{"probe": 137})
	if said := texts(t, p.out.String(), "probe"); !slices.Contains(said, "terminated") {
		t.Errorf("it did not get SIGTERM first; it said %q", said)
	}
}

// TestCannotStart shows that an app that never ran gives rkt's own status and
// the reason.
func TestCannotStart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		want string // in the message
	}{
		{"no such program", []string{"--exec=/nothing"}, "/nothing"},
		{"no such user", []string{"--user=nobody-here"}, "nobody-here"},
		{"no such group", []string{"--group=nobody-here"}, "nobody-here"},
		{"no such working directory", []string{"--working-dir=/nowhere"}, "/nowhere"},
		{"not a program", []string{"--exec=/etc/passwd"}, "/etc/passwd"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			p := h.start(append([]string{probeID(t), "--cpu=1"}, test.args...)...)
			r := p.expect(254)
			expectOneMessage(t, r.Stderr, test.want)
			expectStatus(t, h.status(p.uuid()), "exited", nil)
		})
	}
}

// expectOneMessage checks that stderr has one line of the form "command: what
// is wrong", with the words given, and nothing else but a hint, the remark about
// emulation, and the count of failures from commands that take several pods.
func expectOneMessage(t *testing.T, stderr, words string) {
	t.Helper()
	var messages, hints int
	for text := range strings.Lines(stderr) {
		text = strings.TrimSuffix(text, "\n")
		switch {
		case strings.Contains(text, "no hardware virtualization here"):
		case strings.HasPrefix(text, "hint: "):
			hints++
		case hints > 0 && strings.HasPrefix(text, "    "): // the hint goes on
		case strings.HasPrefix(text, "stop: failed to stop 1 pod"), text == "rm: failed to remove one or more pods":
		default:
			messages++
			command, message, _ := strings.Cut(text, ": ")
			if strings.ContainsAny(command, " /") || message == "" {
				t.Errorf("not in the form of a message: %q", text)
			}
		}
	}
	if messages != 1 || hints > 1 || !strings.Contains(stderr, words) {
		t.Errorf("want one message with %q, got:\n%s", words, stderr)
	}
}
