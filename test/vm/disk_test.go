package vm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rkt/internal/image/imagetest"
)

// newSmallHost returns a host like newHost whose disk has only the given space
// left.
func newSmallHost(t *testing.T, free int64) *host {
	t.Helper()
	made := &shared.product
	made.needTemplate(t)
	h := newEmptyHost(t, made)
	if err := os.Mkdir(h.data(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", h.data(), "tmpfs", 0, fmt.Sprintf("mode=0755,size=%d", treeSize(t, made.data())+free)); err != nil {
		t.Fatal(err)
	}
	// Unmounting comes after what runs here has ended, and before the look for
	// what is left.
	h.unmount = func() {
		if err := unix.Unmount(h.data(), 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	}
	copyTree(t, "-aT", made.data(), h.data())
	copyTree(t, "-a", made.config(), h.config())
	return h
}

// treeSize returns how much space a tree takes.
func treeSize(t *testing.T, dir string) int64 {
	t.Helper()
	// What was written just now takes no space yet.
	unix.Sync()
	h := &host{T: t, dir: dir}
	sum := int64(0)
	for _, file := range h.filesBelow(dir) {
		var st unix.Stat_t
		if err := unix.Lstat(file, &st); err != nil {
			t.Fatal(err)
		}
		sum += st.Blocks * 512
	}
	return sum
}

// TestHostDiskFull shows that a full disk of the host is an error in the app
// that writes, and nothing more.
func TestHostDiskFull(t *testing.T) {
	t.Parallel()
	h := newSmallHost(t, 64<<20)
	id := probeID(t)
	p := h.start(
		id, "--name=writer", "--cpu=1", "--", "fill", "/big", "---",
		id, "--name=other", "--cpu=1", "--", "sleep", "-status", "2")
	p.out.await(t, "disk full after")
	p.out.await(t, "ready")
	h.must("stop", p.uuid())
	p.expect(2)
	expectStatus(t, h.status(p.uuid()), "exited", map[string]int{"writer": 0, "other": 2})
}

// TestSmallDisk shows that apps can't write more than the pod's disk takes.
func TestSmallDisk(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p, r := h.run("--disk=32Mi", probeID(t), "--cpu=1", "--", "fill", "/big")
	p.expect(0)
	var mebibytes int
	if _, err := fmt.Sscanf(strings.Join(texts(t, r.Stdout, "probe"), ""), "disk full after %d MiB", &mebibytes); err != nil {
		t.Fatalf("%v: %s", err, r.Stdout)
	}
	if mebibytes < 24 || mebibytes >= 32 {
		t.Errorf("%d MiB went on a disk of 32", mebibytes)
	}
}

// expectDisk checks how much the root directory holds of a disk of the given
// size: what the file system takes for itself is not in it.
func expectDisk(t *testing.T, holds, size int64) {
	t.Helper()
	if holds > size || holds < size-size/32 {
		t.Errorf("the root directory holds %d bytes, the disk should have %d", holds, size)
	}
}

// TestImageTooBig shows an image that is more than the host's disk can hold.
func TestImageTooBig(t *testing.T) {
	t.Parallel()
	// A store leaves a gibibyte of its disk for others.
	h := newSmallHost(t, 1<<30+24<<20)
	file := h.write("big.aci", probeImage(t, "example.com/big", nil,
		imagetest.File("rootfs/big", strings.Repeat("0123456789abcdef", 4<<20))))
	h.refuse(t, "not enough free disk space", "run", "--insecure-options=image", file)
	h.start(probeID(t), "--cpu=1", "--", "exit", "5").expect(5)
}

// TestWritesArePrivate shows that what an app writes is seen by no other app,
// and by no later pod of the same image.
func TestWritesArePrivate(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := probeID(t)
	for range 2 {
		p, r := h.run(
			id, "--name=a", "--cpu=1", "--", "mark", "/mark", "---",
			id, "--name=b", "--cpu=1", "--", "mark", "/mark")
		p.expect(0)
		for _, app := range []string{"a", "b"} {
			if got := texts(t, r.Stdout, app); len(got) != 1 || got[0] != "new" {
				t.Errorf("app %s found %q", app, got)
			}
		}
	}
}

// TestDamagedBlock shows that a block which went bad where rkt does not look
// again, as on failing hardware, is an error to who reads it: the machine's
// kernel checks each block.
func TestDamagedBlock(t *testing.T) {
	t.Parallel()
	if !hardwareVirtualization(t) {
		t.Skip("needs KVM: make test-kvm")
	}
	h := newHost(t)
	before := h.files()
	const text = "what an app relies on"
	image := probeImage(t, "example.com/precious", nil, imagetest.File("rootfs/precious", text))
	p := h.start("--insecure-options=image", h.write("precious.aci", image), "--cpu=1", "--", "files", "/precious")
	p.expect(0)
	if got := h.status(p.uuid())["disk-check"]; got != "verity" {
		t.Errorf("disk-check=%s", got)
	}
	disk := newDisk(t, before, h.files())
	spoil(t, disk, text)
	p = h.start(imageID(image), "--cpu=1", "--", "files", "/precious")
	if r := p.wait(); r.Status == 0 || !strings.Contains(r.Stdout, "input/output error") {
		t.Errorf("status %d:\n%s%s", r.Status, r.Stdout, r.Stderr)
	}
}

// spoil changes a byte of the text in a disk, and the record of the disk so
// that it looks untouched.
func spoil(t *testing.T, disk, text string) {
	t.Helper()
	b, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte(text))
	if at < 0 {
		t.Fatalf("%s does not hold the text", disk)
	}
	b[at] ^= 1
	if err := os.WriteFile(disk, b, 0); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(disk, &st); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(filepath.Dir(disk), "record.json")
	var record map[string]any
	if b, err = os.ReadFile(file); err == nil {
		err = json.Unmarshal(b, &record)
	}
	if err != nil {
		t.Fatal(err)
	}
	record["inode"], record["mtimeNanoseconds"], record["ctimeNanoseconds"] = st.Ino, st.Mtim.Nano(), st.Ctim.Nano()
	if b, err = json.Marshal(record); err == nil {
		err = os.WriteFile(file, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
