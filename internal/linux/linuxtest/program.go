// Package linuxtest helps tests with what the kernel insists on.
package linuxtest

import (
	"os"
	"syscall"
)

// WriteProgram writes a program that the test is going to run. While the file is
// open nothing is forked here: a child would have it open too, until it execs, and
// what is open for writing can't be executed.
func WriteProgram(path string, program []byte) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, program, 0o755) //nolint:gosec // programs are executed, by others too
}
