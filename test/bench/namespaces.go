package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// namespaces is a thread in a network and a mount namespace of its own, where
// directories that podman and systemd-nspawn write to are empty ones in memory. All
// of it ends with the thread.
type namespaces struct {
	jobs chan func()
}

// newNamespaces starts the thread.
func newNamespaces() (*namespaces, error) {
	n := &namespaces{jobs: make(chan func())}
	ready := make(chan error)
	go n.serve(ready)
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("make namespaces: %w", err)
	}
	return n, nil
}

// serve never unlocks its thread, so the runtime destroys it in the end.
func (n *namespaces) serve(ready chan<- error) {
	runtime.LockOSThread()
	err := enterNamespaces()
	ready <- err
	if err != nil {
		return
	}
	for job := range n.jobs {
		job()
	}
}

func (n *namespaces) close() { close(n.jobs) }

// timed runs a command in the namespaces and measures it.
func (n *namespaces) timed(cmd *exec.Cmd) (s sample, err error) {
	n.do(func() { s, err = timed(cmd) })
	return s, err
}

// tool runs a command in the namespaces whose time doesn't matter.
func (n *namespaces) tool(cmd *exec.Cmd) (out string, err error) {
	n.do(func() { out, err = finishTool(cmd) })
	return out, err
}

// do returns when the thread has done the job.
func (n *namespaces) do(job func()) {
	done := make(chan struct{})
	n.jobs <- func() {
		defer close(done)
		job()
	}
	<-done
}

// enterNamespaces moves the calling thread.
func enterNamespaces() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	for _, dir := range []string{"/run", "/dev/shm", "/var/lib"} {
		if err := unix.Mount("bench", dir, "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("mount on %s: %w", dir, err)
		}
	}
	return nil
}

// leaveHybrid, in the namespaces, takes away version 2 of the control groups where it is mounted
// beside version 1: crun refuses to run with both.
func leaveHybrid() error {
	const unified = "/sys/fs/cgroup/unified"
	if _, err := os.Stat(unified); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return os.NewSyscallError("umount", unix.Unmount(unified, unix.MNT_DETACH))
}
