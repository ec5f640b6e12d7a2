// Package podman is how benchmarks run podman, the peer of rkt's containers: with
// crun, and with storage and state of its own, so that it neither finds nor leaves
// what is the machine's.
package podman

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Options are those before podman's command. Images and containers are below
// storage, what it keeps while they run below state: a directory in memory.
func Options(storage, state string) []string {
	return []string{
		"--root", storage, "--storage-driver=overlay",
		"--runroot", filepath.Join(state, "run"), "--tmpdir", filepath.Join(state, "tmp"),
		"--network-config-dir", filepath.Join(state, "networks"),
		"--runtime=crun", "--cgroup-manager=cgroupfs", "--events-backend=none",
	}
}

// Run is the command that runs a container and removes it, before more options. Its
// control groups are below the named one, of which RemoveGroups is to be told. The
// limits are given because podman's own are more than a root without
// CAP_SYS_RESOURCE may set.
func Run(group string) []string {
	return []string{"run", "--rm", "--cgroup-parent=/" + group, "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"}
}

// RemoveGroups removes the control groups of a name in all hierarchies, with all
// below them. Their processes must have ended.
func RemoveGroups(name string) error {
	return filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case !d.IsDir() || d.Name() != name:
			return nil
		}
		if err := removeGroup(path); err != nil {
			return fmt.Errorf("remove control groups: %w", err)
		}
		return fs.SkipDir
	})
}

// removeGroup removes a control group, after those below it.
func removeGroup(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			if err := removeGroup(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(path)
}
