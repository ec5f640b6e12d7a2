// Package treecopy gives a pod its own copy of a tree of files, for those who do
// not want overlays.
package treecopy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	copyfs "github.com/containerd/continuity/fs"
	"golang.org/x/sys/unix"

	"rkt/internal/linux"
)

// Copy copies what is in the directory or mount that is open as from to a
// directory, which it makes: owners, modes, hard links, devices, extended
// attributes and the times of files, but not those of directories. What is there
// from a try that was cut short is removed first. The empty directory that ext4
// has for its own repair is left out.
func Copy(to string, from *os.File) error {
	parent, name := filepath.Split(to)
	if err := os.MkdirAll(parent, 0o755); err != nil { //nolint:gosec // apps may look through it
		return err
	}
	dir, err := os.Open(parent)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := linux.RemoveTree(dir, name); err != nil {
		return err
	}
	// The descriptor is a link to where it leads, which need not have a path.
	if err := copyfs.CopyDir(to, fmt.Sprintf("/proc/self/fd/%d", from.Fd())); err != nil {
		return fmt.Errorf("copy %s: %w", from.Name(), err)
	}
	err = os.Remove(filepath.Join(to, "lost+found"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTEMPTY) {
		return nil
	}
	return err
}
