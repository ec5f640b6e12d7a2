//go:build fault

package fault

import (
	"fmt"
	"os"
	"syscall"
)

// Point kills the process if RKT_FAULT names this point, and records that the
// point was passed if RKT_FAULT_LOG names a file.
func Point(name string) {
	if log := os.Getenv("RKT_FAULT_LOG"); log != "" {
		record(log, name)
	}
	if os.Getenv("RKT_FAULT") == name {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
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
