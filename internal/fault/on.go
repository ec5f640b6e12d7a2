//go:build fault

package fault

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// passed counts how often each point was passed.
var passed struct {
	sync.Mutex
	times map[string]int
}

// Point kills the process if RKT_FAULT names this point, and records that the
// point was passed if RKT_FAULT_LOG names a file.
func Point(name string) {
	if log := os.Getenv("RKT_FAULT_LOG"); log != "" {
		record(log, name)
	}
	if at, time := wanted(); at == name && pass(name) == time {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}

// wanted returns the point to end at, and the how manieth time.
func wanted() (point string, time int) {
	point, number, numbered := strings.Cut(os.Getenv("RKT_FAULT"), "#")
	if !numbered {
		return point, 1
	}
	time, err := strconv.Atoi(number)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fault:", err)
	}
	return point, time
}

// pass counts that a point is passed and returns how often it was.
func pass(name string) int {
	passed.Lock()
	defer passed.Unlock()
	if passed.times == nil {
		passed.times = make(map[string]int)
	}
	passed.times[name]++
	return passed.times[name]
}

func record(log, name string) {
	f, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fault:", err)
		return
	}
	defer f.Close()
	fmt.Fprintln(f, name)
}
