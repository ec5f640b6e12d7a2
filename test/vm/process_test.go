package vm

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// processesIn lists the processes that have to do with a directory: they run a
// program of it, are in it, or have a file of it open. This one does not count.
func processesIn(dir string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	self, _ := os.Readlink("/proc/self/exe")
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		// A test that goes on beside this one may be starting a program, which
		// looks like the test until it is executed.
		exe, _ := os.Readlink("/proc/" + e.Name() + "/exe")
		if err == nil && exe != self && alive(pid) && uses(pid, dir) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func uses(pid int, dir string) bool {
	proc := fmt.Sprintf("/proc/%d", pid)
	links := []string{proc + "/exe", proc + "/cwd", proc + "/root"}
	fds, _ := filepath.Glob(proc + "/fd/*")
	return slices.ContainsFunc(append(links, fds...), func(link string) bool {
		target, err := os.Readlink(link)
		return err == nil && (target == dir || strings.HasPrefix(target, dir+"/"))
	})
}

// alive tells whether a process can still do anything: it exists and has
// memory. One that has given that back is only waiting to be forgotten.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return false
	}
	size, _, _ := strings.Cut(string(b), " ")
	return size != "0"
}

// awaitEnd returns when a process has ended, or false after a while.
func awaitEnd(pid int, timeout time.Duration) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	deadline := time.Now().Add(timeout)
	for {
		rest := max(0, time.Until(deadline))
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(rest.Milliseconds()))
		switch {
		case n > 0:
			return true
		case err == nil || rest == 0:
			return false
		}
	}
}

// allEnded tells whether of these processes nothing is left that could hold a
// lock.
func allEnded(pids []int) bool {
	return !slices.ContainsFunc(pids, func(pid int) bool { return !awaitEnd(pid, 0) })
}

// describe says what a process is.
func describe(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	const longest = 200
	words := strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " "))
	if len(words) > longest {
		words = words[:longest] + "…"
	}
	return words
}

// processStatus reads a file in the format of /proc/PID/status.
func processStatus(path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	fields := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields, nil
}
