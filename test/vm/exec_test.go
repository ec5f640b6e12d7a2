package vm

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rkt/test/probe/report"
)

// exec runs a command in a pod's only app.
func (p *pod) exec(args ...string) result {
	p.h.Helper()
	return p.h.rkt(append([]string{"exec", p.uuid(), "/probe"}, args...)...)
}

func parseFacts(t *testing.T, text string) report.Facts {
	t.Helper()
	var f report.Facts
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	return f
}

// TestExecConfined compares what an app and a command beside it find out about
// their surroundings. Only what differs between any two processes may differ.
func TestExecConfined(t *testing.T) {
	t.Parallel()
	apps := map[string][]string{
		"root": {"--cpu=1"},
		"user": {
			"--cpu=1", "--user=alice", "--group=alice", "--supplementary-gids=1300,7", "--memory=64Mi",
			"--oom-score-adj=300", "--environment=COLOUR=blue", "--working-dir=/tmp",
		},
		"capable": {"--cpu=1", "--caps-retain=CAP_SYS_ADMIN,CAP_NET_ADMIN"},
		"open":    {"--cpu=1"},
	}
	for name, flags := range apps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			args := append(append([]string{probeID(t)}, flags...), "--", "facts", "-stay")
			if name == "open" {
				args = append([]string{"--insecure-options=all-run"}, args...)
			}
			p := h.start(args...)
			p.out.await(t, "ready")
			app := factsOfLine(t, texts(t, p.out.String(), "probe")[0])
			r := p.exec("facts")
			if r.Status != 0 {
				t.Fatalf("rkt exec: status %d: %s", r.Status, r.Stderr)
			}
			expectSameFacts(t, app, parseFacts(t, r.Stdout))
			p.signal(syscall.SIGTERM)
			p.expect(0)
		})
	}
}

func factsOfLine(t *testing.T, line string) report.Facts {
	t.Helper()
	return parseFacts(t, line)
}

// statusFields are the lines of /proc/PID/status that say what a process may do.
func statusFields() []string {
	return []string{
		"Uid", "Gid", "Groups", "Umask", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
		"Seccomp_filters", "Cpus_allowed", "SigBlk", "SigIgn",
	}
}

func expectSameFacts(t *testing.T, app, command report.Facts) {
	t.Helper()
	for _, f := range []*report.Facts{&app, &command} {
		for name := range f.Status {
			if !slices.Contains(statusFields(), name) {
				delete(f.Status, name)
			}
		}
		slices.Sort(f.Env)
	}
	if len(app.Refused) == 0 && app.Status["Seccomp"] != "0" {
		t.Error("the app may do everything, so nothing is compared")
	}
	same := cmpopts.IgnoreFields(report.Facts{}, "PID", "Parent")
	if diff := cmp.Diff(app, command, same); diff != "" {
		t.Errorf("the command differs from the app (-app +command):\n%s", diff)
	}
}

// TestExecOverrides shows what the flags of rkt exec change.
func TestExecOverrides(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.startSleeper()
	facts := func(flags ...string) report.Facts {
		t.Helper()
		return parseFacts(t, h.must(append(append([]string{"exec"}, flags...), p.uuid(), "/probe", "facts")...))
	}
	f := facts("--user=alice", "--workdir=/etc", "--env=A=1", "--env=HOME=/h")
	if f.UID != 1234 || f.GID != 1235 || f.Dir != "/etc" || f.Home != "/h" || !slices.Contains(f.Env, "A=1") {
		t.Errorf("uid %d, gid %d, dir %q, env %q", f.UID, f.GID, f.Dir, f.Env)
	}
	root := facts("--privileged")
	if root.UID != 0 || root.Status["Seccomp"] != "0" || len(root.Refused) != 0 {
		t.Errorf("privileged: uid %d, seccomp %s, refused %v", root.UID, root.Status["Seccomp"], root.Refused)
	}
	if own := facts(); root.Cgroup != own.Cgroup || cmp.Diff(root.Root, own.Root) != "" {
		t.Errorf("privileged is elsewhere: %q, %v", root.Cgroup, root.Root)
	}
	for _, bad := range [][]string{
		{"exec", p.uuid(), "nothing-of-that-name"},
		{"exec", p.uuid(), "/etc/passwd"},
		{"exec", "--user=nobody-here", p.uuid(), "/probe"},
		{"exec", "--workdir=/nowhere", p.uuid(), "/probe"},
		{"exec", "--app=other", p.uuid(), "/probe"},
		{"exec", p.uuid()},
	} {
		r := h.rkt(bad...)
		if r.Status != 254 || strings.Count(r.Stderr, "\n") > 2 || r.Stderr == "" {
			t.Errorf("%v: status %d, stderr %q", bad, r.Status, r.Stderr)
		}
	}
	h.must("stop", p.uuid())
	if r := p.exec("facts"); r.Status != 254 || !strings.Contains(r.Stderr, "isn't currently running") {
		t.Errorf("in a stopped pod: %+v", r)
	}
}

// TestExecStdio shows the ways in and out: separate outputs, a pipe and nothing
// as input, exit statuses.
func TestExecStdio(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.startSleeper()
	if r := p.exec("print", "-out", "a\xff\n", "-err", "b"); r.Status != 0 || r.Stdout != "a\xff\n" || r.Stderr != "b" {
		t.Errorf("outputs: %+v", r)
	}
	for status, args := range map[int][]string{7: {"exit", "7"}, 128 + 9: {"die", "9"}, 128 + 15: {"die", "15"}} {
		if r := p.exec(args...); r.Status != status {
			t.Errorf("%v: status %d, %s", args, r.Status, r.Stderr)
		}
	}
	if r := p.exec("echo"); r.Stdout != "ready\nend after 0 bytes\n" {
		t.Errorf("without stdin: %+v", r)
	}
	cmd := h.command("exec", "--interactive", p.uuid(), "/probe", "echo")
	cmd.Stdin = strings.NewReader("some text\n")
	if out, err := cmd.CombinedOutput(); string(out) != "ready\nsome text\nend after 10 bytes\n" || err != nil {
		t.Errorf("with a pipe: %q, %v", out, err)
	}
	closed := h.command("exec", "--interactive", p.uuid(), "/probe", "echo")
	closed.Args = append([]string{"sh", "-c", `exec "$0" "$@" <&-`}, append([]string{closed.Path}, closed.Args[1:]...)...)
	closed.Path = "/bin/sh"
	if out, err := closed.CombinedOutput(); string(out) != "ready\nend after 0 bytes\n" || err != nil {
		t.Errorf("with stdin closed: %q, %v", out, err)
	}
	h.must("stop", p.uuid())
	p.wait()
}

// TestExecSignals shows that signals reach the command, not the pod.
func TestExecSignals(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.startSleeper()
	cmd := h.command("exec", p.uuid(), "/probe", "sleep", "-status", "3")
	out := newTranscript()
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.await(t, "ready")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 3 || !strings.Contains(out.String(), "terminated") {
		t.Errorf("status %d (%v): %s", code, err, out)
	}
	if state := h.list()[p.uuid()]; state != "running" {
		t.Errorf("the pod is %q", state)
	}
	h.must("stop", p.uuid())
	p.wait()
}

// TestExecTerminal shows a terminal: its size, resizing, keys, and that it is
// as before afterwards.
func TestExecTerminal(t *testing.T) {
	t.Parallel()
	for _, how := range [][]string{{"exec", "-it"}, {"enter"}} {
		t.Run(how[0], func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			p := h.startSleeper()
			tt := newTerminal(t)
			cmd := h.command(append(how, p.uuid(), "/probe", "tty")...)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = tt.program, tt.program, tt.program
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			tt.screen.await(t, "size 24x80, controlling terminal")
			tt.expectChanged()
			tt.resize(50, 132)
			tt.screen.await(t, "size 50x132")
			tt.press(ctrlC)
			tt.screen.await(t, "interrupted")
			tt.press("\x10\x11quit\r") // neither Ctrl-p nor Ctrl-q means anything
			tt.press("quit\r")
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v\n%s", err, tt.screen)
			}
			tt.expectAsBefore()
			h.must("stop", p.uuid())
			p.wait()
		})
	}
}

// TestEnterSeveralApps shows that the app must be named, and the words of old.
func TestEnterSeveralApps(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := probeID(t)
	p := h.start(id, "--name=a", "--cpu=1", "--", "sleep", "---", id, "--name=b", "--cpu=1", "--", "sleep")
	p.ready()
	r := h.rkt("enter", p.uuid(), "/probe", "facts")
	want := "enter: pod contains multiple apps:\nenter: \ta\nenter: \tb\nenter: specify app using \"rkt enter --app= ...\"\n"
	if r.Status != 254 || r.Stderr != want {
		t.Errorf("status %d, stderr %q", r.Status, r.Stderr)
	}
	r = h.rkt("enter", "--app=b", p.uuid())
	if !strings.HasPrefix(r.Stderr, "enter: no command specified, assuming \"/bin/bash\"\n") || r.Status != 254 {
		t.Errorf("status %d, stderr %q", r.Status, r.Stderr)
	}
	for _, app := range []string{"a", "b"} {
		f := parseFacts(t, h.must("exec", "--app="+app, p.uuid(), "/probe", "facts"))
		if want := fmt.Sprintf("app-%s.service", app); !strings.HasSuffix(f.Cgroup, want) {
			t.Errorf("app %s: control group %q", app, f.Cgroup)
		}
	}
	h.must("stop", p.uuid())
	p.wait()
}
