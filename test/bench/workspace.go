package main

import (
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// workspace is the temporary directory that holds everything.
type workspace struct {
	dir     string
	busybox string // a static one on the host
}

// newWorkspace makes the directory.
func newWorkspace() (w *workspace, err error) {
	dir, err := os.MkdirTemp("", "rkt-bench-")
	if err != nil {
		return nil, err
	}
	w = &workspace{dir: dir}
	// Pods have uids of their own that pass through here.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, errors.Join(err, w.remove())
	}
	return w, nil
}

// unpackStage1 unpacks the stage1 image and finds what runs in it.
func (w *workspace) unpackStage1(ctx context.Context, stage1 string) (err error) {
	if w.busybox, err = staticBusybox(); err != nil {
		return err
	}
	image := w.path("stage1")
	if err := os.Mkdir(image, 0o755); err != nil {
		return err
	}
	_, err = tool(ctx, "tar", "-xf", stage1, "-C", image)
	return err
}

func (w *workspace) remove() error { return os.RemoveAll(w.dir) }

// path returns the name of something in the workspace.
func (w *workspace) path(names ...string) string {
	return filepath.Join(append([]string{w.dir}, names...)...)
}

// machineDir is the directory that QEMU runs in as its root.
func (w *workspace) machineDir() string { return w.path("stage1", "rootfs", "machine") }

// guestImage is the guest's root disk.
func (w *workspace) guestImage() string { return w.path("stage1", "rootfs", "guest.img") }

// description returns what the image says about its parts, as it is.
func (w *workspace) description() (json.RawMessage, error) {
	return os.ReadFile(w.path("stage1", "rootfs", "machine.json"))
}

// staticBusybox finds the program that all candidates run, so that none has a
// smaller one than the others.
func staticBusybox() (string, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return "", fmt.Errorf("%w (package busybox-static)", err)
	}
	f, err := elf.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return "", fmt.Errorf("%s is not static (package busybox-static)", path)
	}
	return path, nil
}
