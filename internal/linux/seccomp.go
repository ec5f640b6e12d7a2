package linux

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SyscallFilter withholds system calls of one kind of program. Those of other
// kinds are none of its business.
type SyscallFilter struct {
	Arch uint32 // as AUDIT_ARCH_… names the calling convention
	// Allow says that Calls are all that is allowed. Otherwise all but these is.
	Allow bool
	Calls []uint32
	// Errno is what a call fails with that is withheld.
	Errno syscall.Errno
	// Flags are calls that are withheld if one of their arguments has some bits.
	Flags []SyscallFlags
	// Missing are calls that seem not to exist: ENOSYS.
	Missing []uint32
}

// SyscallFlags are bits of an argument of a system call: the call is withheld if
// one of them is set, or if nothing at all is and None says so.
type SyscallFlags struct {
	Call, Bits uint32
	Argument   uint32 // 0 for the first
	None       bool
}

// program returns the filter for the kernel. What it is given is struct
// seccomp_data, see seccomp(2).
func (f SyscallFilter) program() ([]unix.SockFilter, error) {
	const number, arch, arguments, argumentSize = 0, 4, 16, 8 // the lower half, on little-endian machines
	instruction := func(code uint16, k uint32, then, otherwise uint8) unix.SockFilter {
		return unix.SockFilter{Code: code, K: k, Jt: then, Jf: otherwise}
	}
	const load, give = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_RET | unix.BPF_K
	const equal, anyBit = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	allow, refuse := uint32(unix.SECCOMP_RET_ALLOW), unix.SECCOMP_RET_ERRNO|uint32(f.Errno)
	listed, others := refuse, allow
	if f.Allow {
		listed, others = allow, refuse
	}
	program := []unix.SockFilter{
		instruction(load, arch, 0, 0), instruction(equal, f.Arch, 1, 0), instruction(give, allow, 0, 0),
		instruction(load, number, 0, 0),
	}
	for _, flags := range f.Flags {
		// Without None the first test is for some of what the second is for.
		none := uint32(0)
		if !flags.None {
			none = flags.Bits
		}
		program = append(program, instruction(equal, flags.Call, 0, 5),
			instruction(load, arguments+argumentSize*flags.Argument, 0, 0),
			instruction(equal, none, 1, 0), instruction(anyBit, flags.Bits, 0, 1),
			instruction(give, refuse, 0, 0), instruction(load, number, 0, 0))
	}
	// A jump reaches no further than 255 instructions, so each call ends by itself.
	for _, call := range f.Calls {
		program = append(program, instruction(equal, call, 0, 1), instruction(give, listed, 0, 0))
	}
	for _, call := range f.Missing {
		program = append(program, instruction(equal, call, 0, 1), instruction(give, unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS), 0, 0))
	}
	program = append(program, instruction(give, others, 0, 0))
	if len(program) > maxProgram {
		return nil, fmt.Errorf("%d system calls are too many for one filter", len(f.Calls))
	}
	return program, nil
}

// maxProgram is how many instructions a filter may have. Source: BPF_MAXINSNS.
const maxProgram = 4096

// install puts the filter on the calling thread and what it starts, for good.
// It takes CAP_SYS_ADMIN or no_new_privs.
func (f SyscallFilter) install() error {
	program, err := f.program()
	if err != nil {
		return err
	}
	wire := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	// The kernel reads both structures before the call returns.
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&wire)))
	if errno != 0 {
		return os.NewSyscallError("seccomp", errno)
	}
	return nil
}
