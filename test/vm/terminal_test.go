package vm

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// Keys that rkt and terminals treat in a special way.
const (
	ctrlA = "\x01"
	ctrlC = "\x03"
)

// terminal is a pseudo-terminal with a user on it.
type terminal struct {
	*testing.T
	user, program *os.File
	screen        *transcript
	before        unix.Termios
}

// newTerminal returns a terminal of 24 lines with 80 characters.
func newTerminal(t *testing.T) *terminal {
	t.Helper()
	user, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	tt := &terminal{T: t, user: user, program: program, screen: newTranscript()}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		_, _ = io.Copy(tt.screen, user)
	}()
	t.Cleanup(func() {
		program.Close()
		user.Close()
		<-finished
	})
	tt.resize(24, 80)
	tt.before = tt.settings()
	return tt
}

func (tt *terminal) settings() unix.Termios {
	tt.Helper()
	s, err := unix.IoctlGetTermios(int(tt.program.Fd()), unix.TCGETS)
	if err != nil {
		tt.Fatal(err)
	}
	return *s
}

func (tt *terminal) resize(rows, columns uint16) {
	tt.Helper()
	if err := pty.Setsize(tt.user, &pty.Winsize{Rows: rows, Cols: columns}); err != nil {
		tt.Fatal(err)
	}
}

func (tt *terminal) press(keys string) {
	tt.Helper()
	if _, err := tt.user.WriteString(keys); err != nil {
		tt.Fatal(err)
	}
}

// expectChanged makes sure that there is something to restore.
func (tt *terminal) expectChanged() {
	tt.Helper()
	if tt.settings() == tt.before {
		tt.Error("the terminal's settings were not changed")
	}
}

func (tt *terminal) expectAsBefore() {
	tt.Helper()
	if diff := cmp.Diff(tt.before, tt.settings()); diff != "" {
		tt.Errorf("the terminal's settings (-before +now):\n%s", diff)
	}
}

// start runs a pod in the foreground of the terminal.
func (tt *terminal) start(h *host, args ...string) *pod {
	tt.Helper()
	p := h.newPod(args...)
	tt.launch(p)
	return p
}

// startBy runs a pod by a shell, which gets rkt and its arguments as "$0" "$@".
func (tt *terminal) startBy(h *host, script string, args ...string) *pod {
	tt.Helper()
	p := h.newPod(args...)
	p.cmd.Args = append([]string{"sh", "-mc", script}, p.cmd.Args...)
	p.cmd.Path = "/bin/sh"
	tt.launch(p)
	return p
}

func (tt *terminal) launch(p *pod) {
	tt.Helper()
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = tt.program, tt.program, tt.program
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	p.launch()
}

// end checks how a pod on this terminal ends, and what it leaves.
func (tt *terminal) end(p *pod, status int) {
	tt.Helper()
	if r := p.wait(); r.Status != status {
		tt.Fatalf("status %d, signal %v; want %d\n%s", r.Status, r.Signal, status, tt.screen)
	}
	tt.expectAsBefore()
}

// TestInteractive shows an app on the user's terminal.
func TestInteractive(t *testing.T) {
	t.Parallel()
	h, tt := newHost(t), newTerminal(t)
	p := tt.start(h, "--interactive", probeID(t), "--cpu=1", "--", "tty")
	tt.screen.await(t, "size 24x80, controlling terminal")
	tt.expectChanged()
	tt.resize(50, 132)
	tt.screen.await(t, "size 50x132")
	tt.press("hello\r")
	tt.screen.await(t, `line "hello"`)
	tt.press(ctrlC)
	tt.screen.await(t, "interrupted")
	tt.press(ctrlA + ctrlA + "\r")
	tt.screen.await(t, `line "\x01"`)
	tt.press("quit\r")
	tt.end(p, 0)
	// The app's own words reach the terminal as they are.
	if strings.Contains(tt.screen.String(), "probe[") {
		t.Errorf("lines were given names:\n%s", tt.screen)
	}
	tt.screen.await(t, "bye")
}

// TestEscape shows that Ctrl-a x ends a pod, with its apps' status.
func TestEscape(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		keys string
		want int
	}{
		{"Ctrl-a x, interactive", []string{"--interactive"}, ctrlA + "x", 5},
		{"Ctrl-a x", nil, ctrlA + "x", 5},
		{"Ctrl-c", nil, ctrlC, 5},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, tt := newHost(t), newTerminal(t)
			p := tt.start(h, append(test.args, probeID(t), "--cpu=1", "--", "sleep", "-status", "5")...)
			tt.screen.await(t, "ready")
			tt.expectChanged()
			tt.press(test.keys)
			tt.end(p, test.want)
			expectStatus(t, h.status(p.uuid()), "exited", map[string]int{"probe": test.want})
		})
	}
}

// TestTerminalAfterFailure shows that the terminal is given back whatever
// happens to the pod.
func TestTerminalAfterFailure(t *testing.T) {
	t.Parallel()
	t.Run("machine lost", func(t *testing.T) {
		t.Parallel()
		h, tt := newHost(t), newTerminal(t)
		p := tt.start(h, "--interactive", probeID(t), "--cpu=1", "--", "tty")
		tt.screen.await(t, "size 24x80")
		tt.expectChanged()
		if err := syscall.Kill(p.hypervisor(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		tt.end(p, 254)
	})
	t.Run("no such program", func(t *testing.T) {
		t.Parallel()
		h, tt := newHost(t), newTerminal(t)
		tt.end(tt.start(h, "--interactive", probeID(t), "--cpu=1", "--exec=/nothing"), 254)
	})
}

// TestStdinClosed shows pods on a terminal whose standard input is closed.
func TestStdinClosed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, want string
		args       []string
	}{
		{"interactive", "end after 0 bytes", []string{"--interactive"}},
		{"not interactive", "end after 0 bytes", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, tt := newHost(t), newTerminal(t)
			p := tt.startBy(h, `exec "$0" "$@" <&-`, append(test.args, probeID(t), "--cpu=1", "--", "echo")...)
			tt.end(p, 0)
			tt.screen.await(t, test.want)
		})
	}
}

// TestBackground shows that a pod in the background of a terminal runs, prints,
// and leaves the terminal alone.
func TestBackground(t *testing.T) {
	t.Parallel()
	h, tt := newHost(t), newTerminal(t)
	p := tt.startBy(h, `"$0" "$@" & wait $!; echo "status $?"`, probeID(t), "--cpu=1", "--", "sleep", "-status", "3")
	tt.screen.await(t, "ready")
	tt.expectAsBefore()
	if state := h.list()[p.uuid()]; state != "running" {
		t.Errorf("state %q", state)
	}
	h.must("stop", p.uuid())
	tt.screen.await(t, "status 3")
	tt.end(p, 0)
}

// TestForeground shows that an interactive pod that was started in the
// background gets the terminal when it is brought to the foreground.
func TestForeground(t *testing.T) {
	t.Parallel()
	h, tt := newHost(t), newTerminal(t)
	p := tt.startBy(h, `"$0" "$@" & read go; fg; echo "status $?"`, "--interactive", probeID(t), "--cpu=1", "--", "tty")
	tt.screen.await(t, "size 24x80")
	tt.expectAsBefore()
	tt.press("go\r")
	tt.press("hello\r")
	tt.screen.await(t, `line "hello"`)
	tt.resize(30, 90)
	tt.screen.await(t, "size 30x90")
	tt.press(ctrlA + "x")
	tt.screen.await(t, "status ")
	tt.end(p, 0)
}

// TestNoTerminal shows a pod in a session of its own, as a service manager
// starts it.
func TestNoTerminal(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.newPod(probeID(t), "--cpu=1", "--", "print", "-out", "hello\n")
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.err
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p.launch()
	r := p.expect(0)
	if got := texts(t, r.Stdout, "probe"); !slices.Equal(got, []string{"hello"}) {
		t.Errorf("it said %q", got)
	}
}

// TestInteractivePipe shows an interactive pod in the middle of a pipe.
func TestInteractivePipe(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	const size = 300_000
	p := h.newPod("--interactive", probeID(t), "--cpu=1", "--", "echo")
	p.cmd.Stdin = strings.NewReader(strings.Repeat("x", size))
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.err
	p.launch()
	r := p.expect(0)
	want := "ready\n" + strings.Repeat("x", size) + fmt.Sprintf("end after %d bytes\n", size)
	if r.Stdout != want {
		t.Errorf("%d characters came back, want %d; the last are %q", len(r.Stdout), len(want),
			r.Stdout[max(0, len(r.Stdout)-80):])
	}
}

// TestInteractiveOneApp shows that a terminal is not shared.
func TestInteractiveOneApp(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := probeID(t)
	r := h.rkt("run", "--interactive", id, "--name=a", id, "--name=b")
	if r.Status != 254 {
		t.Errorf("status %d", r.Status)
	}
	expectOneMessage(t, r.Stderr, "interactive option only supports one image")
}
