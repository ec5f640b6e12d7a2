package vm

import (
	"context"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"rkt/internal/linux"
)

// noticeTime is how long the end of a pod may go unnoticed on a host that has
// nothing else to do.
const noticeTime = time.Second

// TestKilled shows that rkt list tells the truth about a pod whose processes
// are killed, and that gc leaves nothing of it.
func TestKilled(t *testing.T) {
	t.Parallel()
	kill := func(pids ...int) {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // may have followed the one before
		}
	}
	tests := []struct {
		name string
		kill func(supervisor, hypervisor int)
	}{
		{"supervisor", func(s, _ int) { kill(s) }},
		{"hypervisor", func(_, h int) { kill(h) }},
		{"both", func(s, h int) { kill(s, h) }},
		{"both, the hypervisor first", func(s, h int) { kill(h, s) }},
		{"supervisor, the hypervisor is stopped", func(s, h int) {
			_ = syscall.Kill(h, syscall.SIGSTOP)
			kill(s)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for range rounds(10) {
				killOne(t, test.kill)
			}
		})
	}
}

// rounds returns how often to repeat something: many times only in a soak.
func rounds(many int) int {
	if *soak {
		return many
	}
	return 1
}

func killOne(t *testing.T, kill func(supervisor, hypervisor int)) {
	t.Helper()
	h := newHost(t)
	p := h.start(probeID(t), "--cpu=1", "--", "sleep")
	p.out.await(t, "ready")
	p.ready()
	members := processesIn(h.dir)
	if !slices.Contains(members, p.supervisor()) || !slices.Contains(members, p.hypervisor()) {
		t.Fatalf("processes %v lack the supervisor %d or the hypervisor %d", members, p.supervisor(), p.hypervisor())
	}
	if state := h.list()[p.uuid()]; state != "running" {
		t.Fatalf("state %q", state)
	}
	unlocked := watchLock(t, p.dir(), members)
	begin := time.Now()
	kill(p.supervisor(), p.hypervisor())
	expectExitedInTime(t, p, members, begin)
	if living := <-unlocked; len(living) > 0 {
		t.Errorf("the pod's lock was free while these lived: %v", living)
	}
	h.gc()
	h.expectNoPodsLeft()
	h.expectNothingInUse()
}

// expectExitedInTime calls rkt list until it says that the pod has exited. How
// long that took is judged in a soak only, which has the host for itself: else
// it counts that the first list says so that begins after the last process's end.
func expectExitedInTime(t *testing.T, p *pod, members []int, begin time.Time) {
	t.Helper()
	for {
		gone := allEnded(members)
		state := p.h.list()[p.uuid()]
		took := time.Since(begin)
		living := slices.DeleteFunc(slices.Clone(members), func(pid int) bool { return !alive(pid) })
		if state == "exited" {
			if len(living) > 0 {
				t.Errorf("rkt list says exited, but these live: %v", living)
			}
			t.Logf("it took %v", took)
			if took > noticeTime && *soak {
				t.Errorf("it took more than %v", noticeTime)
			}
			return
		}
		if gone {
			t.Fatalf("all processes have ended, but rkt list says %q", state)
		}
		if took > patience {
			t.Fatalf("rkt list says %q, these live: %v", state, living)
		}
	}
}

// watchLock waits for a pod's lock to be free and reports which of the
// processes are alive at that moment.
func watchLock(t *testing.T, dir string, members []int) <-chan []int {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	living := make(chan []int, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	go func() {
		defer f.Close()
		if err := linux.LockShared(ctx, f); err != nil {
			living <- members
			return
		}
		living <- slices.DeleteFunc(slices.Clone(members), func(pid int) bool { return !alive(pid) })
	}()
	return living
}

// TestKilledSeveral shows that a killed pod does not disturb its neighbour.
func TestKilledSeveral(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := probeID(t)
	victim := h.start(id, "--cpu=1", "--", "sleep")
	other := h.start(id, "--cpu=1", "--", "sleep")
	victim.ready()
	other.out.await(t, "ready")
	if err := syscall.Kill(victim.supervisor(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	victim.wait()
	h.awaitState(victim, "exited")
	h.gc()
	states := h.list()
	if len(states) != 1 || states[other.uuid()] != "running" {
		t.Errorf("after gc: %v, want only %s running", states, other.uuid())
	}
	h.must("stop", other.uuid())
	other.expect(0)
}

// awaitState waits for the end of all processes of a pod that is ending, and
// checks its state then.
func (h *host) awaitState(p *pod, want string) {
	h.Helper()
	h.must("status", "--wait="+patience.String(), p.uuid())
	if state := h.list()[p.uuid()]; state != want {
		h.Errorf("state %q, want %q", state, want)
	}
}
