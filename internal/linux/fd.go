package linux

import (
	"os"

	"golang.org/x/sys/unix"
)

// CloseOnExec keeps programs that this one becomes from inheriting f. It fails
// if f is not open.
func CloseOnExec(f *os.File) error {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, unix.FD_CLOEXEC)
	return os.NewSyscallError("fcntl", err)
}
