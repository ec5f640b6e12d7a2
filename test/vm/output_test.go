package vm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// monotonic returns the host's monotonic clock.
func monotonic(t *testing.T) time.Duration {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return time.Duration(now.Nano())
}

// TestOutput shows the form of what two apps say, and that only they are heard.
func TestOutput(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := probeID(t)
	begin := monotonic(t)
	p, r := h.run(
		id, "--name=talker", "--cpu=1", "--", "print", "-out", "one\n\n  two $HOME %n\n", "-err", "three\nno line end", "---",
		id, "--name=other", "--cpu=1", "--", "print", "-out", "four\n")
	p.expect(0)
	end := monotonic(t)
	said := texts(t, r.Stdout, "talker")
	// The two outputs of one app are two pipes: only their own order is sure.
	slices.SortStableFunc(said, func(a, b string) int {
		return strings.Compare(stream(a), stream(b))
	})
	want := []string{"one", "", "  two $HOME %n", "three", "no line end"}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("app talker (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"four"}, texts(t, r.Stdout, "other")); diff != "" {
		t.Errorf("app other (-want +got):\n%s", diff)
	}
	last := begin
	for _, l := range lines(t, r.Stdout) {
		if l.At < last-time.Millisecond || l.At > end {
			t.Errorf("a line at %v, between %v and %v", l.At, last, end)
		}
		last = l.At
	}
	expectNoBootMessages(t, r.Stdout+r.Stderr)
}

// stream sorts lines of stdout before those of stderr.
func stream(text string) string {
	if text == "three" || text == "no line end" {
		return "stderr"
	}
	return "out"
}

// bootMessages are what kernel and systemd say at every start.
func bootMessages() []string { return []string{"Linux version", "systemd"} }

func expectNoBootMessages(t *testing.T, out string) {
	t.Helper()
	for _, words := range bootMessages() {
		if strings.Contains(out, words) {
			t.Errorf("a boot message %q in:\n%s", words, out)
		}
	}
}

// TestDebug shows that the machine's own messages come only when asked for, and
// not in between those of the apps.
func TestDebug(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p, r := h.run("--debug", probeID(t), "--cpu=1", "--", "print", "-out", "hello\n")
	p.expect(0)
	for _, words := range bootMessages() {
		if !strings.Contains(r.Stderr, words) {
			t.Errorf("no %q on stderr:\n%s", words, r.Stderr)
		}
	}
	if got := texts(t, r.Stdout, "probe"); !slices.Equal(got, []string{"hello"}) {
		t.Errorf("the app said %q", got)
	}
}

// TestMuchOutput shows that nothing is lost or mixed up when two apps write as
// fast as they can and end at once.
func TestMuchOutput(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	const count, width = 20_000, 120
	id := probeID(t)
	write := []string{"--cpu=1", "--", "print", "-lines", fmt.Sprint(count), "-width", fmt.Sprint(width), "---"}
	args := append(append([]string{id, "--name=a"}, write...), append([]string{id, "--name=b"}, write...)...)
	p, r := h.run(args...)
	p.expect(0)
	next := make(map[string]int)
	for _, l := range lines(t, r.Stdout) {
		want := fmt.Sprintf("%07d ", next[l.App])
		if !strings.HasPrefix(l.Text, want) || len(l.Text) != width {
			t.Fatalf("app %s said %q, want %q", l.App, l.Text, want)
		}
		next[l.App]++
	}
	if next["a"] != count || next["b"] != count {
		t.Errorf("lines: %v, want %d of each", next, count)
	}
}

// TestNobodyListens shows that a pod whose output is closed runs on.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.newPod(probeID(t), "--cpu=1", "--", "print", "-lines", "5000")
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p.err
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	p.launch()
	p.expect(0)
}

// TestLongLine shows that a line without an end does not pile up.
func TestLongLine(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	const width = 1 << 20
	p, r := h.run(probeID(t), "--cpu=1", "--", "print", "-lines", "1", "-width", fmt.Sprint(width))
	p.expect(0)
	whole := strings.Join(texts(t, r.Stdout, "probe"), "")
	if want := "0000000 " + strings.Repeat("x", width-8); whole != want {
		t.Errorf("%d characters arrived, want %d", len(whole), len(want))
	}
}
