package linux_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rkt/internal/linux"
)

// TestMountImageLeavesNothing shows that the device of a mounted image is gone
// as soon as the mount is.
func TestMountImageLeavesNothing(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts: run it as root")
	}
	image := filepath.Join(t.TempDir(), "image")
	cmd := exec.CommandContext(t.Context(), "mke2fs", "-q", "-t", "ext4", image, "1M")
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	mount, err := linux.MountImage(image, "ext4", []string{"noload"})
	if err != nil {
		t.Fatal(err)
	}
	root := linux.RootAt(mount)
	if _, err := root.Stat("lost+found"); err != nil {
		t.Error(err)
	}
	if !hasLoop(t, image) {
		t.Error("no loop device has the image: the test proves nothing")
	}
	if _, err := root.EnsureDir("new", 0o755); err == nil {
		t.Error("the image could be written to")
	}
	if err := root.Close(); err != nil {
		t.Fatal(err)
	}
	if hasLoop(t, image) {
		t.Error("the loop device is still there")
	}
}

func hasLoop(t *testing.T, image string) bool {
	t.Helper()
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(b)) == image {
			return true
		}
	}
	return false
}
