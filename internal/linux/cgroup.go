package linux

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Cgroup is one group of processes in every hierarchy that serves it: the
// version 2 tree, and beside it of version 1 the memory hierarchy, where the
// memory controller is there, and systemd's own, which containers use. Each
// element is a directory.
type Cgroup []string

// hierarchies are the mount points of those that matter, "" for what the host
// lacks.
type hierarchies struct{ v2, v1Memory, v1Systemd string }

// cgroupMounts returns this host's hierarchies.
// Format: proc(5), /proc/PID/mounts.
func cgroupMounts() (h hierarchies, err error) {
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		return h, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 4 {
			continue
		}
		options := strings.Split(fields[3], ",")
		switch {
		case fields[2] == "cgroup2" && h.v2 == "":
			h.v2 = fields[1]
		case fields[2] == "cgroup" && slices.Contains(options, "memory"):
			h.v1Memory = fields[1]
		case fields[2] == "cgroup" && slices.Contains(options, systemdHierarchy):
			h.v1Systemd = fields[1]
		}
	}
	return h, nil
}

// systemdHierarchy is the name of a version 1 hierarchy without a controller, in
// which systemd keeps track of processes.
const systemdHierarchy = "name=systemd"

// PlanCgroup returns the group with the given path below the roots of this
// host's hierarchies, without making it.
func PlanCgroup(path string) (Cgroup, error) {
	mounts, err := cgroupMounts()
	if err != nil {
		return nil, err
	}
	var c Cgroup
	for _, mount := range []string{mounts.v2, mounts.v1Memory, mounts.v1Systemd} {
		if mount != "" {
			c = append(c, filepath.Join(mount, path))
		}
	}
	if c == nil {
		return nil, errors.New("no cgroup file system with a memory controller or of version 2 is mounted")
	}
	return c, nil
}

// OwnCgroup returns the group with the given name that this program is in. A
// hierarchy that has the program in another group is left out.
// Format: cgroups(7), /proc/PID/cgroup.
func OwnCgroup(name string) (Cgroup, error) {
	mounts, err := cgroupMounts()
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	var c Cgroup
	for line := range strings.Lines(string(b)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 || filepath.Base(fields[2]) != name {
			continue
		}
		switch {
		case fields[0] == "0" && mounts.v2 != "":
			c = append(c, filepath.Join(mounts.v2, fields[2]))
		case mounts.v1Memory != "" && slices.Contains(strings.Split(fields[1], ","), "memory"):
			c = append(c, filepath.Join(mounts.v1Memory, fields[2]))
		case mounts.v1Systemd != "" && fields[1] == systemdHierarchy:
			c = append(c, filepath.Join(mounts.v1Systemd, fields[2]))
		}
	}
	if c == nil {
		return nil, fmt.Errorf("this program is in no control group named %s", name)
	}
	return c, nil
}

// Create makes the group's directories and gives it a memory limit, unless that
// is 0, where the host has the controller for it; limited tells whether it has.
func (c Cgroup) Create(memoryMax int64) (limited bool, err error) {
	for _, dir := range c {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return false, err
		}
		enableControllers(filepath.Dir(dir))
		if memoryMax == 0 {
			continue
		}
		for _, file := range []string{"memory.max", "memory.limit_in_bytes"} {
			err := writeControl(filepath.Join(dir, file), strconv.FormatInt(memoryMax, 10))
			if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrPermission) {
				return false, err
			}
			limited = limited || err == nil
		}
	}
	return limited, nil
}

// enableControllers asks a version 2 group and its parents to hand down the
// controllers that pods use. Where that is impossible Create finds no limit to
// set.
func enableControllers(dir string) {
	if _, err := os.Stat(filepath.Join(dir, "cgroup.subtree_control")); err != nil {
		return
	}
	enableControllers(filepath.Dir(dir))
	for _, controller := range []string{"memory", "cpu", "pids", "io"} {
		_ = writeControl(filepath.Join(dir, "cgroup.subtree_control"), "+"+controller)
	}
}

// Join moves the calling program into the group.
func (c Cgroup) Join() error {
	for _, dir := range c {
		if err := writeControl(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(os.Getpid())); err != nil {
			return err
		}
	}
	return nil
}

// Processes returns the ids of the processes of the group and of those below
// it, none if it is gone.
func (c Cgroup) Processes() ([]int, error) {
	var pids []int
	for _, dir := range c.withChildren() {
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		// A threaded group can't be read, and what is in it is in the one above.
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EOPNOTSUPP) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, field := range strings.Fields(string(b)) {
			// 0 is a process of a PID namespace that this one can't see into.
			if pid, err := strconv.Atoi(field); err == nil && pid > 0 && !slices.Contains(pids, pid) {
				pids = append(pids, pid)
			}
		}
	}
	return pids, nil
}

// withChildren returns the group's directories and all below them, each before
// its parent.
func (c Cgroup) withChildren() []string {
	var dirs []string
	for _, dir := range c {
		// What can't be read is gone.
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
	}
	slices.Reverse(dirs)
	return dirs
}

// Kill kills every process of the group and returns when they are gone, or
// with the context's error. Version 2 has cgroup.kill for it; elsewhere the
// members are killed until there are none.
func (c Cgroup) Kill(ctx context.Context) error {
	for {
		for _, dir := range c {
			_ = writeControl(filepath.Join(dir, "cgroup.kill"), "1")
		}
		pids, err := c.Processes()
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if err := killAndWait(ctx, pid); err != nil {
				return err
			}
		}
	}
}

// KillOthers kills every process of the group but this one and returns when they
// are gone, or with the context's error.
func (c Cgroup) KillOthers(ctx context.Context) error {
	for {
		pids, err := c.Processes()
		if err != nil {
			return err
		}
		pids = slices.DeleteFunc(pids, func(pid int) bool { return pid == os.Getpid() })
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			if err := killAndWait(ctx, pid); err != nil {
				return err
			}
		}
	}
}

// killAndWait kills a process and waits for its end, which a process that is
// not ours tells through a descriptor of its own.
func killAndWait(ctx context.Context, pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return os.NewSyscallError("pidfd_send_signal", err)
	}
	timeout := -1
	if deadline, ok := ctx.Deadline(); ok {
		timeout = int(max(0, time.Until(deadline).Milliseconds()))
	}
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, timeout)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return os.NewSyscallError("poll", err)
	}
	if n == 0 && ctx.Err() != nil {
		return fmt.Errorf("process %d does not end: %w", pid, ctx.Err())
	}
	return nil
}

// Remove removes the empty group and those below it. One that is gone already is
// no error.
func (c Cgroup) Remove() error {
	for _, dir := range c.withChildren() {
		if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
			return &os.PathError{Op: "rmdir", Path: dir, Err: err}
		}
	}
	return nil
}

func writeControl(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// OwnCgroupDir returns the directory of this program's group in the version 2
// tree, "" if the host has none.
// Format: cgroups(7), /proc/PID/cgroup.
func OwnCgroupDir() (string, error) {
	mounts, err := cgroupMounts()
	if err != nil || mounts.v2 == "" {
		return "", err
	}
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return filepath.Join(mounts.v2, path), nil
		}
	}
	return "", nil
}
