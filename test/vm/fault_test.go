package vm

import (
	"archive/tar"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Environment of a build with fault points; see package fault.
const (
	faultEnv    = "RKT_FAULT="
	faultLogEnv = "RKT_FAULT_LOG="
)

// passed runs f on a host whose programs log the fault points they pass, and
// returns those, each once.
func passed(t *testing.T, h *host, f func()) []string {
	t.Helper()
	log := h.path("points")
	h.env = []string{faultLogEnv + log}
	f()
	h.env = nil
	points := pointsIn(t, log)
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d fault points: %s", len(points), strings.Join(points, " "))
	return points
}

// runName makes a point's name that of one test, not of several.
func runName(point string) string { return strings.ReplaceAll(point, "/", "-") }

// minus returns the points that others has not.
func minus(points, others []string) []string {
	return slices.DeleteFunc(slices.Clone(points), func(p string) bool { return slices.Contains(others, p) })
}

// TestCrashInPrepare kills rkt at every step from reading the images to
// starting the stage1 program. The stage1 image has no machine, so a run that
// is not killed ends there.
func TestCrashInPrepare(t *testing.T) {
	t.Parallel()
	for _, point := range preparePoints(t) {
		t.Run(runName(point), func(t *testing.T) {
			t.Parallel()
			h := newEmptyHost(t, &shared.faulty)
			args := prepareArgs(t, h)
			killAt(t, h, point, args...)
			expectTruth(t, h)
			h.gc()
			h.expectNoPodsLeft()
			// Whatever was half done does not stand in the way.
			p := h.start(args...)
			expectOneMessage(t, p.expect(254).Stderr, "machine")
		})
	}
}

func preparePoints(t *testing.T) []string {
	t.Helper()
	h := newEmptyHost(t, &shared.faulty)
	return passed(t, h, func() { h.start(prepareArgs(t, h)...).expect(254) })
}

// prepareArgs returns arguments of rkt run for a host without images.
func prepareArgs(t *testing.T, h *host) []string {
	t.Helper()
	image := h.write("probe.aci", probeImage(t, probeName, nil))
	small := h.path("small.aci")
	repack(t, filepath.Join(h.build.bin, stage1File), small, func(e *tar.Header) bool {
		return e.Name == "manifest" || e.Typeflag == tar.TypeDir && e.Name == "rootfs" || isProgram(e)
	}, nil)
	return []string{"--insecure-options=image", "--stage1-path=" + small, image, "--cpu=1", "--", "exit", "0"}
}

// isProgram tells whether an entry of a stage1 image belongs to its programs or
// their description.
func isProgram(e *tar.Header) bool {
	names := []string{"rootfs/", "rootfs/stage1", "rootfs/run", "rootfs/stop", "rootfs/gc", "rootfs/enter", "rootfs/exec", "rootfs/machine.json"}
	return slices.Contains(names, e.Name)
}

// TestCrashInRun kills the pod's supervisor at every step between its start and
// its end.
func TestCrashInRun(t *testing.T) {
	t.Parallel()
	args := []string{"--net=default", probeID(t), "--cpu=1", "--", "exit", "0"}
	h := newHostWith(t, &shared.faulty)
	points := passed(t, h, func() { h.start(args...).expect(0) })
	for _, point := range minus(points, preparePoints(t)) {
		t.Run(runName(point), func(t *testing.T) {
			t.Parallel()
			h := newHostWith(t, &shared.faulty)
			killAt(t, h, point, args...)
			expectTruth(t, h)
			h.gc()
			h.expectNoPodsLeft()
		})
	}
}

// TestCrashInContainer kills rkt and the supervisor of a container at every step,
// with ids of its own and copies of its images.
func TestCrashInContainer(t *testing.T) {
	t.Parallel()
	h := newHostWith(t, &shared.faulty)
	args := []string{
		"--insecure-options=image", "--stage1-path=" + filepath.Join(h.build.bin, containerFile),
		"--private-users", "--no-overlay", probeID(t), "--", "exit", "0",
	}
	h.start(args...).expect(0) // takes the stage1 image into the store
	points := passed(t, h, func() { h.start(args...).expect(0) })
	h.gc()
	for _, point := range []string{"pod.ids.before-link", "pod.ids.after-link", "run.copy.before", "run.copy.after"} {
		if !slices.Contains(points, point) {
			t.Errorf("%s is not passed", point)
		}
	}
	for _, point := range points {
		killAt(t, h, point, args...)
		expectTruth(t, h)
		h.gc()
		h.expectNoPodsLeft()
		h.expectNoIDsTaken(point)
	}
	h.start(args...).expect(0)
}

// expectNoIDsTaken fails the test if a range of ids is still linked to one of the
// host's pods, once rkt gc has run.
func (h *host) expectNoIDsTaken(after string) {
	h.Helper()
	links, err := filepath.Glob("/run/rkt/private-users/*")
	if err != nil {
		h.Fatal(err)
	}
	for _, link := range links {
		// Those of other hosts come and go.
		if owner, err := os.Readlink(link); err == nil && h.seen[filepath.Base(owner)] {
			h.Fatalf("after %s %s leads to %s", after, link, owner)
		}
	}
}

// killAt runs a pod that must be killed at a point.
func killAt(t *testing.T, h *host, point string, args ...string) {
	t.Helper()
	h.env = []string{faultEnv + point}
	r := h.start(args...).wait()
	h.env = nil
	if r.Signal != syscall.SIGKILL {
		t.Fatalf("it was not killed at %s: status %d\n%s%s", point, r.Status, r.Stdout, r.Stderr)
	}
}

// TestKilledAnytime kills the supervisor at moments that nobody has chosen.
func TestKilledAnytime(t *testing.T) {
	t.Parallel()
	for i := range 4 * rounds(50) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			p := h.start("--net=default", probeID(t), "--cpu=1", "--", "exit", "0")
			p.uuid()
			delay := rand.N(2 * time.Second)
			t.Logf("killed after %v", delay)
			time.Sleep(delay)
			p.kill()
			expectTruth(t, h)
		})
	}
}

// expectTruth compares what rkt list and rkt status say, after rkt was killed,
// with where the pods are and what lives. It must become true: a process that is
// killed is gone from where it was seen before it lets go of the pod's lock. How
// long that took is judged in a soak only, which has the host for itself.
func expectTruth(t *testing.T, h *host) {
	t.Helper()
	members := processesIn(h.dir)
	for begin := time.Now(); ; {
		states := h.list()
		took := time.Since(begin)
		living := slices.DeleteFunc(slices.Clone(members), func(pid int) bool { return !alive(pid) })
		busy := slices.ContainsFunc(h.podDirs(), func(dir string) bool {
			return states[filepath.Base(dir)] == "running" || states[filepath.Base(dir)] == "preparing"
		})
		if busy && took < patience {
			continue
		}
		if took > noticeTime && *soak {
			t.Errorf("it took %v, more than %v", took, noticeTime)
		}
		if busy || len(living) > 0 {
			t.Errorf("states %v, living %v", states, living)
		}
		expectStates(t, h, states)
		return
	}
}

// expectStates checks the states of pods that nobody has locked.
func expectStates(t *testing.T, h *host, states map[string]string) {
	t.Helper()
	dead := map[string]string{
		"prepare": "aborted prepare", "prepared": "prepared", "run": "exited", "exited-garbage": "exited garbage",
	}
	listed := 0
	for _, dir := range h.podDirs() {
		uuid, place := filepath.Base(dir), filepath.Base(filepath.Dir(dir))
		want, isListed := dead[place]
		if !isListed {
			continue // embryo and garbage are not shown
		}
		listed++
		if states[uuid] != want {
			t.Errorf("pod in %s: rkt list says %q, want %q", place, states[uuid], want)
		}
		if got := h.status(uuid)["state"]; got != want {
			t.Errorf("pod in %s: rkt status says %q, want %q", place, got, want)
		}
	}
	if len(states) != listed {
		t.Errorf("rkt list shows %v, want %d pods", states, listed)
	}
}

// TestCrashInStop kills rkt stop, or the program of the stage1 image that it
// calls, at every step. The pod can still be stopped then.
func TestCrashInStop(t *testing.T) {
	t.Parallel()
	for _, how := range [][]string{{"stop"}, {"stop", "--force"}} {
		t.Run(strings.Join(how, " "), func(t *testing.T) {
			t.Parallel()
			h := newHostWith(t, &shared.faulty)
			p := h.startSleeper()
			points := passed(t, h, func() { h.must(append(how, p.uuid())...) })
			p.wait()
			for _, point := range points {
				p := h.startSleeper()
				h.env = []string{faultEnv + point}
				r := h.rkt(append(how, p.uuid())...)
				h.env = nil
				if r.Status == 0 {
					t.Errorf("it was not killed at %s", point)
				}
				h.must("stop", p.uuid())
				h.awaitState(p, "exited")
				h.gc()
				h.expectNoPodsLeft()
			}
		})
	}
}

// startSleeper starts a pod that stays.
func (h *host) startSleeper() *pod {
	h.Helper()
	p := h.start(probeID(h.T), "--cpu=1", "--", "sleep")
	p.ready()
	return p
}

// TestCrashInRemoval kills rkt gc and rkt rm, or the program of the stage1
// image that they call, at every step. The next gc does the rest.
func TestCrashInRemoval(t *testing.T) {
	t.Parallel()
	removals := map[string]func(h *host, uuid string) result{
		"gc": func(h *host, _ string) result { return h.rkt("gc", "--grace-period=0s", "--expire-prepared=0s") },
		"rm": func(h *host, uuid string) result { return h.rkt("rm", uuid) },
	}
	for name, remove := range removals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHostWith(t, &shared.faulty)
			uuid := h.killedPod()
			points := passed(t, h, func() {
				if r := remove(h, uuid); r.Status != 0 {
					t.Fatalf("status %d: %s", r.Status, r.Stderr)
				}
			})
			for _, point := range points {
				uuid := h.killedPod()
				h.env = []string{faultEnv + point}
				r := remove(h, uuid)
				h.env = nil
				if r.Status == 0 {
					t.Errorf("it was not killed at %s", point)
				}
				expectTruth(t, h)
				h.gc()
				h.expectNoPodsLeft()
			}
		})
	}
}

// killedPod returns a pod whose supervisor was killed when its machine had just
// started, so that there is something to clean up.
func (h *host) killedPod() string {
	h.Helper()
	h.env = []string{faultEnv + "run.machine.after-start"}
	p := h.start("--net=default", probeID(h.T), "--cpu=1", "--", "sleep")
	p.wait()
	h.env = nil
	h.awaitState(p, "exited")
	return p.uuid()
}
