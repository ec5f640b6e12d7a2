package linux

import (
	"os"

	"golang.org/x/sys/unix"
)

// CloseAllOnExec keeps programs that this one starts or becomes from inheriting
// any descriptor but the first three, whoever opened it.
func CloseAllOnExec() error {
	return os.NewSyscallError("close_range", unix.CloseRange(3, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC))
}

// IsOpen tells whether the number of a descriptor that this program inherited
// is that of an open file.
func IsOpen(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}
