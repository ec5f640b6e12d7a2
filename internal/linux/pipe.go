package linux

import (
	"errors"
	"io"
	"os"
	"time"

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

// ReadNow reads what is there, without waiting for more, from a file whose read
// deadline has passed. Afterwards it has passed again.
func ReadNow(f *os.File, b []byte) (n int, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	if err := f.SetReadDeadline(time.Time{}); err != nil {
		return 0, err
	}
	waitErr := conn.Read(func(fd uintptr) bool {
		n, err = unix.Read(int(fd), b)
		return true
	})
	_ = f.SetReadDeadline(time.Now()) // so that the next read comes here again
	switch {
	case waitErr != nil:
		return 0, waitErr
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
