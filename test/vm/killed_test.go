package vm

import (
	"path/filepath"
	"syscall"
	"testing"

	"rkt/internal/linux/linuxtest"
)

// TestKilledEach kills each process of a pod that is on a network, each time of a
// new pod: what the pod has got from the host goes with it.
func TestKilledEach(t *testing.T) {
	t.Parallel()
	container := filepath.Join(shared.product.bin, "stage1-coreos.aci")
	for name, flags := range map[string][]string{
		"machine": nil, "container": {"--insecure-options=image", "--stage1-path=" + container},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			for n := 0; h.killNth(n, flags); n++ {
			}
		})
	}
}

// killNth kills a process of a new pod. It returns false if the pod has not so
// many.
func (h *host) killNth(n int, flags []string) bool {
	h.Helper()
	p := h.start(append(flags, "--net=default", probeID(h.T), "--cpu=1", "--", "sleep")...)
	p.out.await(h.T, "ready")
	p.ready()
	pids := linuxtest.Descendants(p.cmd.Process.Pid)
	if n == len(pids) {
		if n < 2 {
			h.Errorf("the pod has %d processes", n)
		}
		h.must("stop", p.uuid())
		p.expect(0)
		return false
	}
	what := describe(pids[n])
	h.Logf("kill %d of %d: %s", n+1, len(pids), what)
	if err := syscall.Kill(pids[n], syscall.SIGKILL); err != nil {
		h.Fatalf("kill %s: %v", what, err)
	}
	// Most end the pod; without the one that waits to take it off its networks it
	// runs on.
	_ = h.rkt("stop", p.uuid())
	p.wait()
	h.awaitState(p, "exited")
	h.gc()
	for _, pid := range pids {
		if !awaitEnd(pid, patience) {
			h.Errorf("after the end of %s there is %s", what, describe(pid))
		}
	}
	h.expectNoPodsLeft()
	h.expectNothingInUse()
	return true
}
