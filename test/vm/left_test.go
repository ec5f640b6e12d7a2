package vm

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"rkt/internal/image/tempfile"
)

// leftIn lists what on this machine has to do with a directory and should not:
// processes, mounts, loop devices.
func leftIn(dir string) []string {
	var left []string
	for _, pid := range processesIn(dir) {
		left = append(left, fmt.Sprintf("process %d: %s", pid, describe(pid)))
	}
	left = append(left, mountsIn(dir)...)
	backing, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, file := range backing {
		if b, err := os.ReadFile(file); err == nil && strings.HasPrefix(string(b), dir+"/") {
			left = append(left, "loop device "+file+" of "+strings.TrimSpace(string(b)))
		}
	}
	return left
}

// mountsIn lists the mounts on or from a directory.
func mountsIn(dir string) []string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return []string{err.Error()}
	}
	defer f.Close()
	var left []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.Contains(s.Text(), dir+"/") {
			left = append(left, "mount "+s.Text())
		}
	}
	return left
}

// expectNothingInUse fails the test if a process, mount or loop device is left.
func (h *host) expectNothingInUse() {
	h.Helper()
	for _, left := range leftIn(h.dir) {
		h.Errorf("left behind: %s", left)
	}
}

// expectNoPodsLeft fails the test if files or control groups of its pods are
// left, once rkt gc has run.
func (h *host) expectNoPodsLeft() {
	h.Helper()
	for _, dir := range h.podDirs() {
		h.Errorf("left behind: pod %s", dir)
	}
	for uuid := range h.seen {
		for _, left := range named(uuid) {
			h.Errorf("left behind: %s", left)
		}
	}
	for _, file := range h.temporaryFiles() {
		h.Errorf("left behind: file %s", file)
	}
}

// named lists control groups and run-time files that have a pod's name.
func named(uuid string) []string {
	var left []string
	for _, root := range []string{"/sys/fs/cgroup", "/run", "/dev/shm"} {
		// What vanishes meanwhile or can't be read is not a pod's.
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.Contains(d.Name(), uuid) {
				left = append(left, path)
			}
			return nil
		})
	}
	return append(left, leasesOf(uuid)...)
}

// leasesOf lists what network plugins have given a pod and not taken back. Format:
// a lease of host-local is a file with the pod's name in it.
func leasesOf(uuid string) []string {
	var left []string
	files, _ := filepath.Glob("/var/lib/cni/networks/*/*")
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil && strings.Contains(string(b), uuid) {
			left = append(left, "lease "+file)
		}
	}
	rules, err := exec.Command("iptables-save").Output()
	if err != nil {
		return append(left, "rules that can't be listed: "+err.Error())
	}
	for line := range strings.Lines(string(rules)) {
		if strings.Contains(line, uuid) {
			left = append(left, "rule "+strings.TrimSpace(line))
		}
	}
	return left
}

// temporaryFiles lists what is half made in the data and configuration, and all
// that is in the directory for temporary files.
func (h *host) temporaryFiles() []string {
	incoming := filepath.Join(h.data(), "cas", "tmp")
	var files []string
	for _, dir := range []string{h.tmp(), h.data(), h.config()} {
		_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			half := dir == h.tmp() || filepath.Dir(path) == incoming || strings.HasPrefix(filepath.Base(path), tempfile.Prefix)
			if err == nil && path != dir && half {
				files = append(files, path)
			}
			return nil
		})
	}
	return files
}

// files lists the files of the data directory, locks aside, and the pods: for
// comparing before and after.
func (h *host) files() []string {
	return append(h.filesBelow(h.data()), h.podDirs()...)
}

// filesBelow lists all that is no directory, but for lock files.
func (h *host) filesBelow(dir string) []string {
	var files []string
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
		case d.IsDir() && strings.HasSuffix(d.Name(), "locks"):
			return fs.SkipDir
		case !d.IsDir():
			files = append(files, path)
		}
		return nil
	})
	return files
}

// awaitProcesses waits until no process of this host is left.
func (h *host) awaitProcesses() {
	h.Helper()
	for _, pid := range processesIn(h.dir) {
		what := describe(pid)
		if !awaitEnd(pid, patience) {
			h.Fatalf("process %d does not end: %s", pid, what)
		}
	}
}

// clear removes this host by force, so that a test that failed leaves nothing
// for those after it.
func (h *host) clear() {
	for _, pid := range processesIn(h.dir) {
		_ = unix.Kill(pid, unix.SIGKILL)
		awaitEnd(pid, patience)
	}
	for uuid := range h.seen {
		for _, path := range named(uuid) {
			_ = os.Remove(path)
		}
	}
	for range mountsIn(h.dir) {
		_ = filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && (d.IsDir() || strings.HasPrefix(d.Name(), "netns")) {
				_ = unix.Unmount(path, unix.MNT_DETACH)
			}
			return nil
		})
	}
	if err := os.RemoveAll(h.dir); err != nil {
		h.Error(err)
	}
}
