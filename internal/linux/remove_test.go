package linux_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rkt/internal/linux"
)

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRemoveTree(t *testing.T) {
	t.Parallel()
	parent, outside := t.TempDir(), filepath.Join(t.TempDir(), "file")
	write(t, outside)
	for i := range 600 {
		write(t, filepath.Join(parent, "tree", "many", strings.Repeat("x", i%200+1)+string(rune('a'+i/200))))
	}
	write(t, filepath.Join(parent, "tree", strings.Repeat("deep/", 200), "file"))
	for link, target := range map[string]string{"dir": filepath.Dir(outside), "file": outside, "dangling": "/nowhere"} {
		if err := os.Symlink(target, filepath.Join(parent, "tree", link)); err != nil {
			t.Fatal(err)
		}
	}
	dir := openDir(t, parent)
	for _, name := range []string{"tree", "tree", "never-there"} {
		if err := linux.RemoveTree(dir, name); err != nil {
			t.Fatalf("remove %s: %v", name, err)
		}
	}
	if left, _ := os.ReadDir(parent); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("a symbolic link was followed: %v", err)
	}
}

func TestRemoveTreeStopsAtMounts(t *testing.T) {
	t.Parallel()
	needRoot(t)
	parent, outside := t.TempDir(), t.TempDir()
	write(t, filepath.Join(outside, "file"))
	write(t, filepath.Join(parent, "tree", "sub", "mnt", "below"))
	mnt := filepath.Join(parent, "tree", "sub", "mnt")
	// A bind mount of the same file system: the device number says nothing.
	if err := unix.Mount(outside, mnt, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	unmount := func() { _ = unix.Unmount(mnt, unix.MNT_DETACH) }
	t.Cleanup(unmount)
	dir := openDir(t, parent)
	if err := linux.RemoveTree(dir, "tree"); !errors.Is(err, linux.ErrMountPoint) || !strings.Contains(err.Error(), mnt) {
		t.Errorf("remove across a mount point: %v", err)
	}
	if _, err := os.Stat(filepath.Join(outside, "file")); err != nil {
		t.Errorf("a mount point was entered: %v", err)
	}
	unmount()
	if err := linux.RemoveTree(dir, "tree"); err != nil {
		t.Errorf("remove after unmounting: %v", err)
	}
}
