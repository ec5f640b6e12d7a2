package linux

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Cgroup is one group of processes in every hierarchy that serves it: the
// version 2 tree, and beside it version 1's memory hierarchy where the memory
// controller is there. Each element is a directory.
type Cgroup []string

// cgroupMounts returns the mount points of the version 2 tree and of version
// 1's memory hierarchy, "" for what the host lacks.
// Format: proc(5), /proc/PID/mounts.
func cgroupMounts() (v2, v1Memory string, err error) {
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 4 {
			continue
		}
		switch {
		case fields[2] == "cgroup2" && v2 == "":
			v2 = fields[1]
		case fields[2] == "cgroup" && slices.Contains(strings.Split(fields[3], ","), "memory"):
			v1Memory = fields[1]
		}
	}
	return v2, v1Memory, nil
}

// PlanCgroup returns the group with the given path below the roots of this
// host's hierarchies, without making it.
func PlanCgroup(path string) (Cgroup, error) {
	v2, v1Memory, err := cgroupMounts()
	if err != nil {
		return nil, err
	}
	var c Cgroup
	for _, mount := range []string{v2, v1Memory} {
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
	v2, v1Memory, err := cgroupMounts()
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
		case fields[0] == "0" && v2 != "":
			c = append(c, filepath.Join(v2, fields[2]))
		case v1Memory != "" && slices.Contains(strings.Split(fields[1], ","), "memory"):
			c = append(c, filepath.Join(v1Memory, fields[2]))
		}
	}
	if c == nil {
		return nil, fmt.Errorf("this program is in no control group named %s", name)
	}
	return c, nil
}

// Create makes the group's directories and gives it a memory limit where the
// host has the controller for it; limited tells whether it has.
func (c Cgroup) Create(memoryMax int64) (limited bool, err error) {
	for _, dir := range c {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return false, err
		}
		enableMemory(filepath.Dir(dir))
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

// enableMemory asks a version 2 group and its parents to hand the memory
// controller down. Where that is impossible Create finds no limit to set.
func enableMemory(dir string) {
	if _, err := os.Stat(filepath.Join(dir, "cgroup.subtree_control")); err != nil {
		return
	}
	enableMemory(filepath.Dir(dir))
	_ = writeControl(filepath.Join(dir, "cgroup.subtree_control"), "+memory")
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

// Processes returns the ids of the group's processes, none if it is gone.
func (c Cgroup) Processes() ([]int, error) {
	var pids []int
	for _, dir := range c {
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, field := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(field); err == nil && !slices.Contains(pids, pid) {
				pids = append(pids, pid)
			}
		}
	}
	return pids, nil
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

// Remove removes the empty group. One that is gone already is no error.
func (c Cgroup) Remove() error {
	for _, dir := range c {
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
