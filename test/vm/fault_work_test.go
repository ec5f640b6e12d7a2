package vm

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// killed runs a command that must be killed at a point, itself or a program that it
// starts.
func (h *host) killed(point string, args ...string) result {
	h.Helper()
	h.env = []string{faultEnv + point}
	r := h.rkt(args...)
	h.env = nil
	if r.Status == 0 {
		h.Errorf("rkt %s was not killed at %s", strings.Join(args, " "), point)
	}
	return r
}

// TestCrashInPrepared kills rkt prepare and rkt run-prepared at every step but
// those that they share with rkt run. A pod that is still prepared still runs.
func TestCrashInPrepared(t *testing.T) {
	t.Parallel()
	h := newHostWith(t, &shared.faulty)
	prepare := []string{"prepare", "--quiet", probeID(t), "--cpu=1", "--", "exit", "5"}
	h.must("rm", h.background(prepare...)) // the first one has more to do, which rkt run has as well
	points := passed(t, h, func() { h.background(prepare...) })
	for _, point := range points {
		h.killed(point, prepare...)
		expectTruth(t, h)
		h.gc()
		h.expectNoPodsLeft()
	}

	uuid := h.background(prepare...)
	points = passed(t, h, func() { h.wantStatus(5, "run-prepared", "--net=none", uuid) })
	// What follows is the supervisor's.
	begin := slices.IndexFunc(points, func(p string) bool { return p == "run.exec.before" })
	if begin < 0 {
		t.Fatalf("rkt run-prepared does not become the supervisor: %q", points)
	}
	stayed := 0
	for _, point := range slices.DeleteFunc(points, func(p string) bool { return p != "run.exec.before" && !strings.HasPrefix(p, "pod.") }) {
		uuid := h.background(prepare...)
		h.killed(point, "run-prepared", "--net=none", uuid)
		expectTruth(t, h)
		if h.list()[uuid] == "prepared" {
			stayed++
			h.wantStatus(5, "run-prepared", "--net=none", uuid)
		}
		h.gc()
		h.expectNoPodsLeft()
	}
	if stayed == 0 {
		t.Error("no pod stayed prepared")
	}
}

// wantStatus runs a command that ends with a status.
func (h *host) wantStatus(want int, args ...string) {
	h.Helper()
	if r := h.rkt(args...); r.Status != want {
		h.Errorf("rkt %s: status %d, want %d\n%s%s", strings.Join(args, " "), r.Status, want, r.Stdout, r.Stderr)
	}
}

// TestCrashInExec kills rkt exec and rkt enter at every step, and rkt logs while it
// waits. The pod runs on, and the next one works.
func TestCrashInExec(t *testing.T) {
	t.Parallel()
	h := newHostWith(t, &shared.faulty)
	p := h.startSleeper()
	for _, how := range []string{"exec", "enter"} {
		command := []string{how, p.uuid(), "/probe", "exit", "7"}
		points := passed(t, h, func() { h.wantStatus(7, command...) })
		for _, point := range points {
			if r := h.killed(point, command...); r.Signal != syscall.SIGKILL {
				t.Errorf("%s at %s: %+v", how, point, r)
			}
			h.wantStatus(7, command...)
		}
	}
	follow := h.command("logs", "--follow", p.uuid())
	out := newTranscript()
	follow.Stdout = out
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	out.await(t, "ready\n")
	_ = follow.Process.Kill()
	if err := follow.Wait(); err == nil {
		t.Error("rkt logs was not killed")
	}
	if state := h.list()[p.uuid()]; state != "running" {
		t.Errorf("state %q", state)
	}
	h.must("stop", p.uuid())
	p.expect(0)
	if got := h.must("logs", p.uuid()); got != "ready\nterminated\n" {
		t.Errorf("logs: %q", got)
	}
}

// TestCrashWhileAsked kills the supervisor at every step of what other commands
// ask it to do.
func TestCrashWhileAsked(t *testing.T) {
	t.Parallel()
	h := newHostWith(t, &shared.faulty)
	log := h.path("points")
	h.env = []string{faultLogEnv + log}
	p := h.startSleeper()
	h.env = nil
	atStart := pointsIn(t, log)
	h.wantStatus(7, "exec", p.uuid(), "/probe", "exit", "7")
	h.must("stop", p.uuid())
	p.expect(0)
	points := minus(pointsIn(t, log), atStart)
	t.Logf("%d fault points: %s", len(points), strings.Join(points, " "))
	if len(points) == 0 {
		t.Error("no fault points")
	}
	for _, point := range points {
		t.Run(runName(point), func(t *testing.T) {
			t.Parallel()
			h := newHostWith(t, &shared.faulty)
			h.env = []string{faultEnv + point}
			p := h.startSleeper()
			h.env = nil
			// Either may find that the supervisor has gone.
			r := h.rkt("exec", p.uuid(), "/probe", "exit", "7")
			if r.Status != 7 && (r.Status != 254 || !strings.Contains(r.Stderr, "pod")) {
				t.Errorf("%+v", r)
			}
			_ = h.rkt("stop", p.uuid())
			if r := p.wait(); r.Signal != syscall.SIGKILL {
				t.Fatalf("it was not killed at %s: %+v", point, r)
			}
			expectTruth(t, h)
			h.gc()
			h.expectNoPodsLeft()
		})
	}
}

// pointsIn returns the fault points that a log names, each once.
func pointsIn(t *testing.T, log string) []string {
	t.Helper()
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatalf("no fault point was passed: %v", err)
	}
	points := strings.Split(strings.TrimSpace(string(b)), "\n")
	slices.Sort(points)
	return slices.Compact(points)
}

// TestCrashInDetach kills rkt run --detach and rkt run --rm at the steps that rkt
// run does not have, and the supervisor before the apps run.
func TestCrashInDetach(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		flags []string
		point string
		runs  bool // the pod does, whoever started it is gone
	}{
		{[]string{"--detach"}, "run.detach.before", false},
		{[]string{"--detach"}, "run.detach.after", true},
		{[]string{"--detach"}, "run.machine.after-start", false},
		{[]string{"--detach", "--rm"}, "run.remover.before", true},
		{[]string{"--rm"}, "run.rm.before", false},
		{[]string{"--rm"}, "run.machine.after-start", false}, // which removes the pod
	} {
		t.Run(strings.Join(append(c.flags, c.point), " "), func(t *testing.T) {
			t.Parallel()
			h := newHostWith(t, &shared.faulty)
			h.killed(c.point, slices.Concat([]string{"run", "--net=none"}, c.flags, []string{probeID(t), "--cpu=1", "--", "sleep"})...)
			dirs := h.podDirs()
			if gone := c.flags[0] == "--rm" && c.point == "run.machine.after-start"; gone != (len(dirs) == 0) {
				t.Errorf("pods: %q", dirs)
			}
			for _, dir := range dirs {
				uuid := dir[strings.LastIndexByte(dir, '/')+1:]
				state := h.list()[uuid]
				if (state == "running") != c.runs {
					t.Errorf("state %q", state)
				}
				if c.runs {
					h.must("status", "--wait-ready", uuid)
					h.wantStatus(7, "exec", uuid, "/probe", "exit", "7")
					h.must("stop", uuid)
				}
			}
			expectTruth(t, h)
			h.gc()
			h.expectNoPodsLeft()
		})
	}
}

// TestCrashBesideSupervisor kills rkt run --rm when the supervisor has the pod, which
// runs on and is removed by nobody but gc.
func TestCrashBesideSupervisor(t *testing.T) {
	t.Parallel()
	h := newHostWith(t, &shared.faulty)
	h.env = []string{faultEnv + "run.rm.after"}
	// Without pipes: the supervisor has the same output, so these would not end.
	cmd := h.command("run", "--net=none", "--rm", probeID(t), "--cpu=1", "--", "sleep")
	h.env = nil
	if r := ended(t, cmd, cmd.Run()); r.Signal != syscall.SIGKILL {
		t.Fatalf("it was not killed: status %d", r.Status)
	}
	dirs := h.podDirs()
	if len(dirs) != 1 {
		t.Fatalf("pods: %q", dirs)
	}
	uuid := filepath.Base(dirs[0])
	h.must("status", "--wait-ready", uuid)
	h.wantStatus(7, "exec", uuid, "/probe", "exit", "7")
	h.must("stop", uuid)
	h.must("status", "--wait", uuid)
	expectTruth(t, h)
	h.gc()
	h.expectNoPodsLeft()
}
