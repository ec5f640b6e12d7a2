package vm

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// background returns the UUID of a pod that rkt started and left.
func (h *host) background(args ...string) string {
	h.Helper()
	uuid := strings.TrimSpace(h.must(args...))
	if len(uuid) != uuidLength {
		h.Fatalf("%v printed %q", args, uuid)
	}
	h.seen[uuid] = true
	return uuid
}

// TestDetach shows that a pod in the background runs when rkt returns, has
// nothing of the caller's open, and is worked with as any other.
func TestDetach(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	// must waits until nobody has its pipes open any more.
	uuid := h.background("run", "--net=none", "--detach", probeID(t), "--cpu=1", "--", "sleep", "-status", "4")
	if status := h.status(uuid); status["state"] != "running" {
		t.Errorf("status %v", status)
	}
	if out := h.must("exec", uuid, "/probe", "print", "-out", "x"); out != "x" {
		t.Errorf("exec: %q", out)
	}
	h.must("stop", uuid)
	expectStatus(t, h.status(uuid), "exited", map[string]int{"probe": 4})
	if got := h.must("logs", uuid); got != "ready\nterminated\n" {
		t.Errorf("logs: %q", got)
	}
	h.must("rm", uuid)
}

// TestDetachShort shows that an app that ends at once did run.
func TestDetachShort(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	uuid := h.background("run", "--net=none", "--detach", probeID(t), "--cpu=1", "--", "exit", "7")
	h.must("status", "--wait", uuid)
	expectStatus(t, h.status(uuid), "exited", map[string]int{"probe": 7})
}

// TestDetachFails shows that an app that can't be started is an error of rkt's,
// as in the foreground.
func TestDetachFails(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	file := h.path("uuid")
	r := h.rkt("run", "--net=none", "--detach", "--uuid-file-save="+file, probeID(t), "--cpu=1", "--exec=/nothing")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	h.seen[strings.TrimSpace(string(b))] = true
	if r.Status != 254 || r.Stdout != "" || !strings.Contains(r.Stderr, `unable to find "/nothing"`) {
		t.Errorf("%+v", r)
	}
	if state := h.list()[strings.TrimSpace(string(b))]; state != "exited" {
		t.Errorf("state %q", state)
	}
}

// TestRemove shows that a pod run with --rm is gone afterwards, however it ends,
// and that the status is still the app's.
func TestRemove(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p, r := h.run("--rm", probeID(t), "--cpu=1", "--", "exit", "7")
	p.expect(7)
	if strings.Contains(r.Stderr, "exit status") {
		t.Errorf("stderr %q", r.Stderr)
	}
	if dirs := h.podDirs(); len(dirs) > 0 {
		t.Errorf("left: %v", dirs)
	}
	p = h.start("--rm", probeID(t), "--cpu=1", "--", "sleep", "-status", "3")
	p.out.await(t, "ready")
	p.signal(syscall.SIGTERM)
	p.expect(3)
	if dirs := h.podDirs(); len(dirs) > 0 {
		t.Errorf("left: %v", dirs)
	}
	uuid := h.background("run", "--net=none", "--rm", "--detach", probeID(t), "--cpu=1", "--", "sleep")
	h.must("stop", uuid)
	h.awaitProcesses()
	if dirs := h.podDirs(); len(dirs) > 0 {
		t.Errorf("left: %v", dirs)
	}
}

// TestPrepared shows a pod that waits to be run.
func TestPrepared(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	uuid := h.background("prepare", "--quiet", "--disk=40Gi", probeID(t), "--cpu=1", "--environment=A=b", "--", "facts")
	if state := h.list()[uuid]; state != "prepared" {
		t.Fatalf("state %q", state)
	}
	if r := h.rkt("stop", uuid); r.Status != 254 || !strings.Contains(r.Stderr, "is not running") {
		t.Errorf("stop: %+v", r)
	}
	r := h.rkt("run-prepared", "--net=none", "--hostname=prepared", uuid)
	if r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	f := factsOf(t, r.Stdout, "probe")
	if f.Hostname != "prepared" || !slices.Contains(f.Env, "A=b") {
		t.Errorf("host name %q, environment %q", f.Hostname, f.Env)
	}
	expectDisk(t, f.Disk, 40<<30)
	again := h.rkt("run-prepared", uuid)
	if again.Status != 254 || !strings.Contains(again.Stderr, "pod \""+uuid+"\" is not prepared") {
		t.Errorf("again: %+v", again)
	}
}

// TestPreparedImageChanged shows that what was changed after it was prepared
// does not run.
func TestPreparedImageChanged(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	uuid := h.background("prepare", probeID(t), "--cpu=1", "--", "exit", "0")
	disks, err := filepath.Glob(filepath.Join(h.data(), "cas", "disk", "*", "image.ext4"))
	if err != nil || len(disks) == 0 {
		t.Fatal(disks, err)
	}
	for _, disk := range disks {
		// Another file, as tests share theirs.
		b, err := os.ReadFile(disk)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		if err := os.Remove(disk); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(disk, b, 0o400); err != nil {
			t.Fatal(err)
		}
	}
	r := h.rkt("run-prepared", uuid)
	if r.Status != 254 || !strings.Contains(r.Stderr, "as it was prepared") || !strings.Contains(r.Stderr, "hint: prepare the pod again") {
		t.Errorf("%+v", r)
	}
	if state := h.list()[uuid]; state != "prepared" {
		t.Errorf("state %q", state)
	}
	h.must("rm", uuid)
}

// TestStopTimeout shows that an app which ignores SIGTERM is killed when its
// time is up.
func TestStopTimeout(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start(probeID(t), "--cpu=1", "--", "sleep", "-ignore")
	p.out.await(t, "ready")
	h.must("stop", "--timeout=0s", p.uuid())
	p.expect(128 + 9)
}
