package linux

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// SetNice gives all threads of this program a nice value, and so those to come and
// the programs it starts.
func SetNice(nice int) error {
	// Threads that are made meanwhile have their maker's value. So it is done when
	// a look at all of them has found none that had another one.
	for {
		changed, err := setNiceOnce(nice)
		if err != nil || !changed {
			return err
		}
	}
}

// setNiceOnce does it for the threads that there are, and reports whether any had
// another value.
func setNiceOnce(nice int) (changed bool, err error) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return false, err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return false, fmt.Errorf("/proc/self/task: %w", err)
		}
		now, err := unix.Getpriority(unix.PRIO_PROCESS, id)
		const zero = 20 // of the value that the system call returns, getpriority(2)
		switch {
		case errors.Is(err, unix.ESRCH), err == nil && zero-now == nice:
			continue
		case err != nil:
			return false, os.NewSyscallError("getpriority", err)
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, id, nice); err != nil && !errors.Is(err, unix.ESRCH) {
			return false, os.NewSyscallError("setpriority", err)
		}
		changed = true
	}
	return changed, nil
}
