package linux

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// A pipe's ends.
const (
	ReadEnd = iota
	WriteEnd
)

// PipeFor makes a pipe of which one end is for another program: it blocks, as
// programs expect. The other one doesn't, so that reading or writing it can be
// interrupted. os.Pipe makes neither block.
func PipeFor(theirEnd int) (theirs, ours *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	our := fds[1-theirEnd]
	if err := unix.SetNonblock(our, true); err != nil {
		return nil, nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return os.NewFile(uintptr(fds[theirEnd]), "pipe"), os.NewFile(uintptr(our), "pipe"), nil
}
