package linux

import (
	"os"

	"golang.org/x/sys/unix"
)

// DuplicateFile returns another descriptor of the same open file, which no program
// inherits that is executed. The caller closes both.
func DuplicateFile(f *os.File) (*os.File, error) {
	// The first three are for what every program expects there.
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// CloseFiles closes files that were only read or handed on. Those that are nil are
// passed over.
func CloseFiles(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
