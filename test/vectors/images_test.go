package vectors

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rkt/test/hostile"
)

// Names of the variables that tell the tests' second process which disks to use.
const (
	disksEnv  = "VECTORS_DISKS"
	diskRoom  = 700 << 20
	storeRest = 1 << 30 // what a store leaves of a disk for others
	wontMount = 32
)

// TestImages lets every image in by every entrance. It does so in a mount namespace
// of its own, with stores on disks of its own, because what is too large depends on
// the room there is.
func TestImages(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const script = `for disk in roomy tight; do
	mkdir "$0/$disk" && mount -t tmpfs -o size="$1" none "$0/$disk" || exit 32
	shift
done
exec "$@"`
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "sh", "-c", script, dir,
		fmt.Sprint(storeRest+diskRoom), fmt.Sprint(storeRest+hostile.TightRoom), os.Args[0], "-test.run=^TestImagesOnDisks$", "-test.v")
	cmd.Env = append(os.Environ(), disksEnv+"="+dir)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == wontMount {
		t.Skipf("needs to mount: %s", out)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: TestImagesOnDisks ") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestImagesOnDisks is TestImages once there are disks. Each image is signed by a
// trusted key: who signs may be fooled, and an image may not hurt even then.
func TestImagesOnDisks(t *testing.T) {
	disks := os.Getenv(disksEnv)
	if disks == "" {
		t.Skip("only for TestImages")
	}
	r := newRig(t)
	all := hostile.All(t)
	for _, v := range all {
		sig := r.signer.Sign(t, v.Data)
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			h := r.hostFor(t, v, disks)
			for _, e := range entrances() {
				e.try(h, v, sig)
			}
		})
	}
	t.Logf("%d images", len(all))
}

// hostFor returns the host that an image is to come to.
func (r *rig) hostFor(t *testing.T, v hostile.Vector, disks string) *host {
	t.Helper()
	disk := "roomy"
	if v.Where == hostile.TightDisk {
		disk = "tight"
	}
	h := r.newHostAt(t, filepath.Join(disks, disk, v.Name))
	if v.Where == hostile.SizeLimit {
		h.configure("images.d/size.json", fmt.Sprintf(`{"rktVersion":"v1","rktKind":"images","maxSize":"%d"}`, hostile.TightRoom))
	}
	return h
}

// try lets an image in and looks at what comes of it.
func (e entrance) try(h *host, v hostile.Vector, sig []byte) {
	h.t.Helper()
	want := v.Refused
	if e.name != "file" {
		want = cmp.Or(v.RefusedOnline, want)
	}
	id := e.fetch(h, v.ImageName(), v.Data, sig, regexp.QuoteMeta(want))
	if _, err := os.Lstat("/etc/rkt-escaped"); err == nil {
		h.t.Fatalf("%s: the image has escaped", e.name)
	}
	if want != "" || h.t.Failed() {
		return
	}
	for _, verb := range []string{"extract", "render"} {
		dir := filepath.Join(h.dir, verb)
		if out, status := h.rktRun("image", verb, "--rootfs-only", id, dir); status != 0 {
			h.t.Fatalf("%s: %s: status %d: %s", e.name, verb, status, out)
		}
		for name, file := range v.Files {
			compare(h.t, dir, name, file)
		}
		if err := os.RemoveAll(dir); err != nil {
			h.t.Fatal(err)
		}
	}
	if out, status := h.rktRun("image", "rm", id); status != 0 {
		h.t.Errorf("%s: rm: status %d: %s", e.name, status, out)
	}
}
