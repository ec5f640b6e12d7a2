package linux

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// VirtioPort is the guest's end of a virtio-serial port. Such a port knows no
// connections: with no host at the other end, reading gives 0 bytes at once.
// Read takes that for the end only once a host has sent something, and waits
// for one before.
type VirtioPort struct {
	f    *os.File
	conn syscall.RawConn
	seen bool // bytes have come; used by Read alone
}

// OpenVirtioPort opens the port whose device node is at path. It fails with
// EBUSY if it is open already.
func OpenVirtioPort(path string) (*VirtioPort, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, wrapPath("open", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &VirtioPort{f: f, conn: conn}, nil
}

// Read reads what the host sent. It returns io.EOF when a host that had sent
// something is gone.
func (p *VirtioPort) Read(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	waitErr := p.conn.Read(func(fd uintptr) bool {
		n, err = unix.Read(int(fd), b)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
			return false
		case err == nil && n == 0 && !p.seen:
			return false
		}
		return true
	})
	switch {
	case waitErr != nil:
		return 0, waitErr
	case err != nil:
		return 0, wrapPath("read", p.f.Name(), err)
	case n == 0:
		return 0, io.EOF
	}
	p.seen = true
	return n, nil
}

// Write writes to the host, all of b or an error.
func (p *VirtioPort) Write(b []byte) (int, error) { return p.f.Write(b) }

// Close lets go of the port, and ends a Read and a Write in progress.
func (p *VirtioPort) Close() error { return p.f.Close() }

// SetReadDeadline lets a Read in progress and later ones fail from t on.
func (p *VirtioPort) SetReadDeadline(t time.Time) error { return p.f.SetReadDeadline(t) }
