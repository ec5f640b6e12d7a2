package flavours

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/linux/linuxtest"
)

func checkStop(p *place) {
	running := p.start(options{}, "--", "sleep", "-status", "4")
	p.rkt("stop", running.ready())
	r := running.wait()
	r.want(4)
	r.wantStatus("app-app", "4")
}

func checkStopForce(p *place) {
	running := p.start(options{}, "--", "sleep", "-ignore")
	p.rkt("stop", "--force", running.ready())
	r := running.wait()
	if r.status == 0 {
		p.Error("a killed pod ended with status 0")
	}
}

// checkKilled kills each process of a pod in turn, each time of a new pod.
func checkKilled(p *place) {
	for n := 0; ; n++ {
		running := p.start(options{}, "--", "sleep")
		uuid := running.ready()
		pids := linuxtest.Descendants(running.cmd.Process.Pid)
		if n == len(pids) {
			p.rkt("stop", uuid)
			running.wait()
			return
		}
		what := describe(pids[n])
		if err := unix.Kill(pids[n], unix.SIGKILL); err != nil {
			p.Fatalf("kill %s: %v", what, err)
		}
		r := running.wait()
		if r.status == 0 {
			p.Errorf("after the end of %s the status is 0", what)
		}
		p.rkt("gc", "--grace-period=0s")
		for _, pid := range pids {
			if !awaitEnd(pid) {
				p.Errorf("after the end of %s there is %s", what, describe(pid))
			}
		}
		for _, left := range leftBy(p.data, uuid) {
			p.Errorf("after the end of %s there is %s", what, left)
		}
	}
}

func describe(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return fmt.Sprintf("process %d (%s)", pid, strings.TrimSpace(string(b)))
}

// awaitEnd waits until a process has ended. One that is only waiting for its
// parent to take note has.
func awaitEnd(pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds()))
		if n > 0 && err == nil {
			return true
		}
	}
	return false
}

// leftBy lists what a pod that is gone should not have left: files, mounts, loop
// devices, control groups, ids.
func leftBy(data, uuid string) []string {
	var left []string
	found, _ := filepath.Glob(filepath.Join(data, "pods", "*", uuid))
	left = append(left, found...)
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, data+"/") {
			left = append(left, "mount "+strings.TrimSpace(line))
		}
	}
	links, _ := filepath.Glob("/run/rkt/private-users/*")
	for _, link := range links {
		if pod, err := os.Readlink(link); err == nil && strings.HasPrefix(pod, data+"/") && (uuid == "*" || filepath.Base(pod) == uuid) {
			left = append(left, "ids "+link)
		}
	}
	backing, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, file := range backing {
		if b, err := os.ReadFile(file); err == nil && strings.HasPrefix(string(b), data+"/") {
			left = append(left, "loop device of "+strings.TrimSpace(string(b)))
		}
	}
	// What can't be read any more is gone.
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(d.Name(), uuid) {
			left = append(left, path)
		}
		return nil
	})
	return left
}
