package linux

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const maxEntropy = 512

// AddEntropy stirs b into the kernel's random number generator as fully
// random, and has it start over from that. At most 512 bytes are used.
func AddEntropy(b []byte) error {
	f, err := os.OpenFile("/dev/urandom", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	// struct rand_pool_info of linux/random.h.
	var pool struct {
		bits int32
		size int32
		buf  [maxEntropy]byte
	}
	pool.size = int32(copy(pool.buf[:], b))
	pool.bits = pool.size * 8
	// The kernel reads the structure, which outlives the call.
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.RNDADDENTROPY, uintptr(unsafe.Pointer(&pool)))
	if errno != 0 {
		return os.NewSyscallError("ioctl RNDADDENTROPY", errno)
	}
	return os.NewSyscallError("ioctl RNDRESEEDCRNG", unix.IoctlSetInt(int(f.Fd()), unix.RNDRESEEDCRNG, 0))
}
