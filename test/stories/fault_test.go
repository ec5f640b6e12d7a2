package stories_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// place is a data directory with the rkt that uses it.
type place struct {
	programs
	dir string
}

func newPlace(t *testing.T, p programs) place {
	t.Helper()
	at := place{programs: p, dir: t.TempDir()}
	at.must(t, "trust", "--root", "--skip-fingerprint-review", p.images+"/key")
	return at
}

func (p place) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), p.rkt, append([]string{
		"--dir=" + p.dir + "/data", "--local-config=" + p.dir + "/etc", "--system-config=" + p.dir + "/usr",
	}, args...)...)
	cmd.Dir = p.dir
	return cmd
}

// must runs a command that has to succeed and returns its stdout.
func (p place) must(t *testing.T, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := p.command(t, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("rkt %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// points runs a command and returns the fault points it has passed.
func (p place) points(t *testing.T, args ...string) []string {
	t.Helper()
	points := passed(t, p.command(t, args...))
	slices.Sort(points)
	return slices.Compact(points)
}

// passed runs a command and returns the fault points that it passes, each as often
// as it does.
func passed(t *testing.T, cmd *exec.Cmd) []string {
	t.Helper()
	log := filepath.Join(t.TempDir(), "points")
	cmd.Env = append(os.Environ(), "RKT_FAULT_LOG="+log)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(text))
}

// killAt runs a command that kills itself at a fault point.
func (p place) killAt(t *testing.T, point string, args ...string) {
	t.Helper()
	killed(t, point, p.command(t, args...))
}

// killed runs a command that kills itself at a fault point, or the program that
// runs that command and ends as a shell would.
func killed(t *testing.T, point string, cmd *exec.Cmd) {
	t.Helper()
	const byShell = 128 + int(syscall.SIGKILL)
	cmd.Env = append(os.Environ(), "RKT_FAULT="+point)
	out, err := cmd.CombinedOutput()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || status.ExitStatus() != byShell && (!status.Signaled() || status.Signal() != syscall.SIGKILL) {
		t.Errorf("%v was not killed at %s: %v\n%s", cmd.Args, point, err, out)
	}
}

// clear shows that nothing of a killed rkt keeps the next one from its work,
// nor stays.
func (p place) clear(t *testing.T) {
	t.Helper()
	if list := p.must(t, "list"); strings.Contains(list, "running") {
		t.Errorf("a pod is said to run:\n%s", list)
	}
	p.must(t, "gc", "--grace-period=0s")
	p.must(t, "run", p.images+"/app.aci")
	p.must(t, "gc", "--grace-period=0s")
	if err := leftovers(p.dir + "/data"); err != nil {
		t.Error(err)
	}
}

func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	p := build(t, "fault")
	t.Run("images", func(t *testing.T) { killedWithImages(t, p) })
	run := []string{"run", "--uuid-file-save=uuid", p.images + "/app.aci"}
	gc := []string{"gc", "--grace-period=0s"}
	probe := newPlace(t, p)
	runPoints, gcPoints := probe.points(t, run...), probe.points(t, gc...)
	if len(runPoints) < 10 || len(gcPoints) < 5 {
		t.Fatalf("fault points of run: %v, of gc: %v", runPoints, gcPoints)
	}
	for _, point := range runPoints {
		t.Run("run/"+point, func(t *testing.T) {
			at := newPlace(t, p)
			at.killAt(t, point, run...)
			at.clear(t)
		})
	}
	for _, point := range gcPoints {
		t.Run("gc/"+point, func(t *testing.T) {
			at := newPlace(t, p)
			at.must(t, run...)
			at.killAt(t, point, gc...)
			at.clear(t)
		})
	}
	for _, point := range []string{"pod.stop.before", "pod.stop.after"} {
		t.Run("stop/"+point, func(t *testing.T) {
			at := newPlace(t, p)
			pod := at.command(t, append(run, "--exec=wait", "--", "0")...)
			if err := pod.Start(); err != nil {
				t.Fatal(err)
			}
			uuid := at.awaitRunning(t, 1)[0]
			at.killAt(t, point, "stop", uuid)
			at.must(t, "stop", uuid)
			if err := pod.Wait(); err != nil {
				t.Error(err)
			}
			at.clear(t)
		})
	}
}

// manyAtOnce runs many pods from nothing at the same time, beside collectors
// and readers.
func manyAtOnce(t *testing.T, p programs) {
	t.Helper()
	const runs = 12
	at := newPlace(t, p)
	var cmds []*exec.Cmd
	for i := range runs {
		cmds = append(cmds, at.command(t, "run", at.images+"/app.aci", "--exec=wait", "--", fmt.Sprint(i+1)))
	}
	for range 3 {
		cmds = append(cmds, at.command(t, "gc", "--grace-period=0s"), at.command(t, "list"), at.command(t, "image", "list"))
	}
	outputs := make([]bytes.Buffer, len(cmds))
	for i, cmd := range cmds {
		cmd.Stderr = &outputs[i]
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i, cmd := range cmds[runs:] {
		if err := cmd.Wait(); err != nil {
			t.Errorf("rkt %v: %v\n%s", cmd.Args, err, &outputs[runs+i])
		}
	}
	pods := at.awaitRunning(t, runs)
	at.wantOwnUIDs(t, pods)
	at.must(t, append([]string{"stop"}, pods...)...)
	seen := make(map[int]bool)
	for i, cmd := range cmds[:runs] {
		_ = cmd.Wait()
		status := cmd.ProcessState.ExitCode()
		if status != i+1 || seen[status] {
			t.Errorf("pod %d ended with %d\n%s", i, status, &outputs[i])
		}
		seen[status] = true
	}
	at.must(t, append([]string{"rm"}, pods...)...)
	if err := leftovers(at.dir + "/data"); err != nil {
		t.Error(err)
	}
}

// awaitRunning waits until n pods run and have started their apps, and returns
// their UUIDs.
func (p place) awaitRunning(t *testing.T, n int) []string {
	t.Helper()
	running := p.dir + "/data/pods/run"
	err := errors.Join(os.MkdirAll(running, 0o750), awaitEntries(running, func(entries []os.DirEntry) bool { return len(entries) == n }))
	if err != nil {
		t.Fatal(err)
	}
	var pods []string
	for line := range strings.Lines(p.must(t, "list", "--full", "--no-legend")) {
		pods = append(pods, strings.Fields(line)[0])
	}
	for _, uuid := range pods {
		if status := p.must(t, "status", "--wait-ready=5m", uuid); !strings.Contains(status, "state=running") {
			t.Errorf("pod %s: %s", uuid, status)
		}
	}
	return pods
}

func (p place) wantOwnUIDs(t *testing.T, pods []string) {
	t.Helper()
	seen := make(map[string]string)
	for _, uuid := range pods {
		uid, err := os.ReadFile(filepath.Join(p.dir, "data/pods/run", uuid, "uid"))
		if err != nil {
			t.Fatal(err)
		}
		if other, taken := seen[string(uid)]; taken {
			t.Errorf("pods %s and %s have the same uid %s", uuid, other, uid)
		}
		seen[string(uid)] = uuid
	}
}
