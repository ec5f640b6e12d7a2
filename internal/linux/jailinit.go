package linux

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A jailed process begins as this program, under the name jailInit: the kernel
// kills it when its parent ends, but only from the moment on at which it has
// asked for that, and in a PID namespace of its own it can't see whether its
// parent still was there by then. So it looks at a pipe that its parent holds,
// and only then becomes what it is to be.
const (
	initPath = "/init"
	jailInit = "jail-init"
)

// initArgs returns the arguments that make Init become argv. alive is the
// number of the pipe's descriptor.
func initArgs(alive int, filter []byte, argv []string) []string {
	return append([]string{jailInit, strconv.Itoa(alive), hex.EncodeToString(filter)}, argv...)
}

// IsInit says whether this program was started by a Warden and has to call
// Init before it does anything else.
func IsInit() bool { return len(os.Args) > 3 && os.Args[0] == jailInit }

// Init becomes the program that the Warden was asked to start, unless the
// Warden's program has ended by now. It returns only with an error.
func Init() error {
	alive, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return fmt.Errorf("jail: %w", err)
	}
	if err := expectParent(alive); err != nil {
		return fmt.Errorf("jail: %w", err)
	}
	filter, err := hex.DecodeString(os.Args[2])
	if err != nil {
		return fmt.Errorf("jail: system call filter: %w", err)
	}
	// The filter is the thread's that also calls exec.
	runtime.LockOSThread()
	if err := installFilter(filter); err != nil {
		return fmt.Errorf("jail: %w", err)
	}
	argv := os.Args[3:]
	return fmt.Errorf("jail: start %s: %w", argv[0], unix.Exec(argv[0], argv, os.Environ()))
}

// expectParent fails if nobody holds the other end of the pipe any more. The
// signal that follows a parent's end is set by now, so no moment is left open.
func expectParent(alive int) error {
	poll := []unix.PollFd{{Fd: int32(alive)}}
	if _, err := unix.Poll(poll, 0); err != nil {
		return os.NewSyscallError("poll", err)
	}
	if poll[0].Revents != 0 {
		return errors.New("the supervisor has ended")
	}
	return unix.Close(alive)
}

// sockFilterSize is the size of one instruction of a filter.
const sockFilterSize = int(unsafe.Sizeof(unix.SockFilter{}))

// encodeFilter returns a filter in the form of Jail.Filter.
func encodeFilter(program []unix.SockFilter) []byte {
	var b []byte
	for _, i := range program {
		b = binary.NativeEndian.AppendUint16(b, i.Code)
		b = append(b, i.Jt, i.Jf)
		b = binary.NativeEndian.AppendUint32(b, i.K)
	}
	return b
}

// installFilter puts the calling thread under a seccomp filter.
// Format: seccomp(2), SECCOMP_SET_MODE_FILTER.
func installFilter(filter []byte) error {
	if len(filter) == 0 {
		return nil
	}
	program := unix.SockFprog{
		Len:    uint16(len(filter) / sockFilterSize),
		Filter: (*unix.SockFilter)(unsafe.Pointer(&filter[0])),
	}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	runtime.KeepAlive(filter)
	return os.NewSyscallError("prctl seccomp", err)
}

// bindInit mounts this program at path, read-only. It needs the program's name:
// what /proc/self/exe leads to is in another mount namespace.
func bindInit(path string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if err := unix.Mount(program, path, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	return unix.Mount("", path, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "")
}
