package linux_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"rkt/internal/linux"
)

// A tree is put together out of sight, and then appears whole.
func TestMountNamespace(t *testing.T) {
	needRoot(t)
	t.Parallel()
	hidden, shown := t.TempDir(), t.TempDir()
	ns, err := linux.NewMountNamespace()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	tmpfs := linux.Filesystem{Type: "tmpfs"}
	mountOn := func(f linux.Filesystem, path string) error {
		at, err := os.Open(path)
		if err != nil {
			return err
		}
		defer at.Close()
		mount, err := f.Mount()
		if err != nil {
			return err
		}
		defer mount.Close()
		return linux.Attach(mount, at)
	}
	var tree *os.File
	err = ns.Do(func() error {
		if err := mountOn(tmpfs, hidden); err != nil {
			return err
		}
		if err := os.Mkdir(filepath.Join(hidden, "below"), 0o755); err != nil {
			return err
		}
		if err := mountOn(tmpfs, filepath.Join(hidden, "below")); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(hidden, "below", "file"), nil, 0o600); err != nil {
			return err
		}
		top, err := os.Open(hidden)
		if err != nil {
			return err
		}
		defer top.Close()
		tree, err = linux.CopyTree(top)
		return errors.Join(err, linux.Unmount(hidden))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if entries, err := os.ReadDir(hidden); err != nil || len(entries) > 0 {
		t.Errorf("it shows: %v, %v", entries, err)
	}
	at, err := os.Open(shown)
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	if err := linux.Attach(tree, at); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(shown, "below", "file")); err != nil {
		t.Error(err)
	}
	if err := linux.Unmount(shown); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(shown, "below")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("part of it is left: %v", err)
	}
}
