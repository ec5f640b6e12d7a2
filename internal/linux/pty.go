package linux

import (
	"cmp"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// PTY is our end of a pseudo-terminal. Reading and writing it can be
// interrupted.
type PTY struct {
	Master *os.File
	Number int // the terminal's name below its devpts
}

// OpenPTY makes a pseudo-terminal of the devpts that the ptmx device is of.
func OpenPTY(ptmx string) (PTY, error) {
	fd, err := unix.Open(ptmx, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return PTY{}, wrapPath("open", ptmx, err)
	}
	p := PTY{Master: os.NewFile(uintptr(fd), ptmx)}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return PTY{}, errors.Join(os.NewSyscallError("ioctl TIOCSPTLCK", err), p.Master.Close())
	}
	if p.Number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN); err != nil {
		return PTY{}, errors.Join(os.NewSyscallError("ioctl TIOCGPTN", err), p.Master.Close())
	}
	return p, nil
}

// Resize tells programs on the terminal its size.
func (p PTY) Resize(rows, columns uint16) error {
	return p.control(func(fd int) error {
		size := unix.Winsize{Row: rows, Col: columns}
		return os.NewSyscallError("ioctl TIOCSWINSZ", unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &size))
	})
}

// EndOfInput returns the character that means the end of input on the terminal
// as it is set now, or 0 if there is none.
func (p PTY) EndOfInput() (char byte) {
	_ = p.control(func(fd int) error {
		state, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil && state.Lflag&unix.ICANON != 0 {
			char = state.Cc[unix.VEOF]
		}
		return err
	})
	return char
}

// control calls f with the master's descriptor, which stays pollable.
func (p PTY) control(f func(fd int) error) error {
	conn, err := p.Master.SyscallConn()
	if err != nil {
		return err
	}
	var controlErr error
	err = conn.Control(func(fd uintptr) { controlErr = f(int(fd)) })
	return cmp.Or(controlErr, err)
}
