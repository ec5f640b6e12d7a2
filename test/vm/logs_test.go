package vm

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// logLine is a line as rkt logs --format=json prints it.
type logLine struct {
	Time    time.Time
	App     string
	Stream  string
	Partial bool
	Text    string
}

func (h *host) logLines(args ...string) []logLine {
	h.Helper()
	var all []logLine
	decoder := json.NewDecoder(strings.NewReader(h.must(append([]string{"logs", "--format=json"}, args...)...)))
	for decoder.More() {
		var l logLine
		if err := decoder.Decode(&l); err != nil {
			h.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// TestLogs shows that what two apps write is kept by app and stream, with the
// pod and after its end.
func TestLogs(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := probeID(t)
	begin := time.Now()
	p, _ := h.run(
		id, "--name=talker", "--cpu=1", "--", "print", "-out", "one\n\ntwo \x01\n", "-err", "three\nno line end", "---",
		id, "--name=other", "--cpu=1", "--", "print", "-lines", "2000", "-width", "100")
	p.expect(0)
	said := map[string][]string{}
	for _, l := range h.logLines(p.uuid()) {
		key := l.App + " " + l.Stream
		said[key] = append(said[key], l.Text)
		if l.Time.Before(begin) || l.Time.After(time.Now()) || l.Partial != (l.Text == "no line end") {
			t.Errorf("%+v", l)
		}
	}
	if got, want := said["talker stdout"], []string{"one", "", "two \x01"}; !slices.Equal(got, want) {
		t.Errorf("stdout: %q, want %q", got, want)
	}
	if got, want := said["talker stderr"], []string{"three", "no line end"}; !slices.Equal(got, want) {
		t.Errorf("stderr: %q, want %q", got, want)
	}
	if n := len(said["other stdout"]); n != 2000 {
		t.Errorf("%d lines of the other app", n)
	}
	raw := h.must("logs", "--app=talker", p.uuid())
	if !strings.Contains(raw, "one\n\ntwo \x01\n") {
		t.Errorf("the app's bytes are not in %q", raw)
	}
	if got := h.must("logs", "--lines=1", "--app=other", p.uuid()); !strings.HasPrefix(got, "0001999 ") || strings.Count(got, "\n") != 1 {
		t.Errorf("the last line: %q", got)
	}
	if got := h.must("logs", "--since=0s", p.uuid()); got != "" {
		t.Errorf("from now on: %q", got)
	}
	expectOneMessage(t, h.rkt("logs", "--app=nobody", p.uuid()).Stderr, "has no app")
}

// TestLogsFollow shows lines as they come, and that following ends with the pod,
// also when that is killed.
func TestLogsFollow(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start(probeID(t), "--cpu=1", "--", "sleep")
	out := newTranscript()
	cmd := h.command("logs", "--follow", p.uuid())
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.await(t, "ready\n")
	if err := syscall.Kill(p.supervisor(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.wait()
	if err := cmd.Wait(); err != nil {
		t.Errorf("rkt logs --follow: %v\n%s", err, out)
	}
	if got := h.must("logs", p.uuid()); got != "ready\n" {
		t.Errorf("after the pod was killed: %q", got)
	}
}

// TestNobodyReads shows that a pod whose output nobody reads runs on, and that
// its log has all of it.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	const count = 30_000
	p := h.newPod(probeID(t), "--cpu=1", "--", "print", "-lines", "30000", "-width", "100")
	if _, err := p.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p.err
	p.launch()
	p.uuid()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatal("the pod does not end")
	}
	if n := strings.Count(h.must("logs", p.uuid()), "\n"); n != count {
		t.Errorf("%d lines in the log, want %d", n, count)
	}
}

// TestSyslog shows that what an app sends to the system's log is in its own, and
// among what rkt prints.
func TestSyslog(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := probeID(t)
	p := h.start(
		id, "--name=a", "--cpu=1", "--user=alice", "--group=alice", "--", "syslog", "/dev/log", "<13>Nov 25 18:04:05 tag[7]: one", "---",
		id, "--name=b", "--cpu=1", "--", "syslog", "/run/systemd/journal/socket", "MESSAGE=two\nSYSLOG_IDENTIFIER=me\n")
	r := p.expect(0)
	said := map[string]string{}
	for _, l := range h.logLines(p.uuid()) {
		said[l.App+" "+l.Stream] += l.Text
	}
	if said["a syslog"] != "tag[7]: one" || said["b syslog"] != "me: two" || len(said) != 2 {
		t.Errorf("%q", said)
	}
	for _, line := range []string{`] a\[\d+\]: tag\[7\]: one`, `] b\[\d+\]: me: two`} {
		if !regexp.MustCompile(line).MatchString(r.Stdout) {
			t.Errorf("%q has no %s", r.Stdout, line)
		}
	}
}
