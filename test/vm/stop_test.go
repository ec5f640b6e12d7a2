package vm

import (
	"strings"
	"syscall"
	"testing"
)

// TestStop shows all ways to end a pod from outside, and that the apps' status
// is the pod's.
func TestStop(t *testing.T) {
	t.Parallel()
	byCommand := func(p *pod) { p.h.must("stop", p.uuid()) }
	bySignal := func(s syscall.Signal) func(*pod) { return func(p *pod) { p.signal(s) } }
	tests := []struct {
		name string
		app  string // its status after SIGTERM
		end  func(*pod)
		want int
	}{
		{"rkt stop", "0", byCommand, 0},
		{"rkt stop, the app fails", "5", byCommand, 5},
		{"SIGTERM", "0", bySignal(syscall.SIGTERM), 0},
		{"SIGTERM, the app fails", "6", bySignal(syscall.SIGTERM), 6},
		{"SIGINT", "9", bySignal(syscall.SIGINT), 9},
		{"SIGHUP", "0", bySignal(syscall.SIGHUP), 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			p := h.start(probeID(t), "--cpu=1", "--", "sleep", "-status", test.app)
			p.out.await(t, "ready")
			test.end(p)
			p.expect(test.want)
			expectStatus(t, h.status(p.uuid()), "exited", map[string]int{"probe": test.want})
		})
	}
}

// TestStopDefaultAction shows the status of an app that does nothing about
// SIGTERM and so is killed by it.
func TestStopDefaultAction(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start(probeID(t), "--cpu=1", "--", "listen", "127.0.0.1:1")
	p.ready()
	r := h.rkt("stop", p.uuid())
	if want := "\"" + p.uuid() + "\"\n"; r.Status != 0 || r.Stdout != want {
		t.Errorf("rkt stop: status %d, stdout %q, want %q", r.Status, r.Stdout, want)
	}
	p.expect(128 + 15)
	// Stop has waited, so nothing is alive when it returns.
	if state := h.list()[p.uuid()]; state != "exited" {
		t.Errorf("state %q", state)
	}
	again := h.rkt("stop", p.uuid())
	if again.Status != 0 || !strings.Contains(again.Stdout, "is already stopped") {
		t.Errorf("stopped again: %+v", again)
	}
}

// TestStopWaits shows that after rkt stop not one process of the pod is left.
func TestStopWaits(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start(probeID(t), "--cpu=1", "--", "sleep")
	p.out.await(t, "ready")
	members := []int{p.supervisor(), p.hypervisor()}
	h.must("stop", p.uuid())
	for _, pid := range members {
		if alive(pid) {
			t.Errorf("process %d is still alive: %s", pid, describe(pid))
		}
	}
}

// TestStopForce shows that an app that ignores SIGTERM does not delay a forced
// stop.
func TestStopForce(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start(probeID(t), "--cpu=1", "--", "sleep", "-ignore")
	p.out.await(t, "ready")
	h.must("stop", "--force", p.uuid())
	if r := p.wait(); r.Status == 0 || strings.Contains(r.Stdout, "terminated") {
		t.Errorf("status %d; the app said %q", r.Status, r.Stdout)
	}
	if state := h.list()[p.uuid()]; state != "exited" {
		t.Errorf("state %q", state)
	}
}

// TestSecondSignal shows that a second signal does not wait for the apps.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start(probeID(t), "--cpu=1", "--", "sleep", "-ignore")
	p.out.await(t, "ready")
	p.signal(syscall.SIGINT)
	p.out.await(t, "terminated")
	p.signal(syscall.SIGINT)
	// Else the app would be killed in the end, and that would be known.
	r := p.expect(254)
	expectOneMessage(t, r.Stderr, "shut down the guest")
	expectStatus(t, h.status(p.uuid()), "exited", nil)
}

// TestStopWhileBooting shows that a pod can be ended before its apps run.
func TestStopWhileBooting(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		end  func(*pod)
	}{
		{"SIGTERM", func(p *pod) { p.signal(syscall.SIGTERM) }},
		{"rkt stop", func(p *pod) { p.h.must("stop", p.uuid()) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			p := h.start(probeID(t), "--cpu=1", "--", "sleep")
			p.machineStarted()
			test.end(p)
			r := p.expect(254)
			expectOneMessage(t, r.Stderr, "stopped before the apps were started")
		})
	}
}

// TestStopWhilePreparing shows that a pod can be ended before it is one.
func TestStopWhilePreparing(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start(probeID(t), "--cpu=1", "--", "sleep")
	p.uuid()
	p.signal(syscall.SIGTERM)
	if r := p.wait(); r.Status == 0 || strings.Contains(r.Stdout, "ready") {
		t.Errorf("status %d\n%s%s", r.Status, r.Stdout, r.Stderr)
	}
}

// TestMachineLost shows what is said when the machine ends under the apps.
func TestMachineLost(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start(probeID(t), "--cpu=1", "--", "sleep")
	p.out.await(t, "ready")
	if err := syscall.Kill(p.hypervisor(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r := p.expect(254)
	expectOneMessage(t, r.Stderr, "machine ended unexpectedly")
	expectStatus(t, h.status(p.uuid()), "exited", nil)
}
