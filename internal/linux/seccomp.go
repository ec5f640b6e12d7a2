package linux

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxFilterCalls is how far a jump of the filter's program reaches.
const maxFilterCalls = 250

// SyscallFilter withholds system calls of one kind of program: they fail with
// EPERM. Those of other kinds are none of its business.
type SyscallFilter struct {
	Arch  uint32 // as AUDIT_ARCH_… names the calling convention
	Calls []uint32
	// Flags are calls that are withheld if their first argument has one of some
	// bits.
	Flags []SyscallFlags
	// Missing are calls that seem not to exist: ENOSYS.
	Missing []uint32
}

// SyscallFlags are bits of the first argument of a system call.
type SyscallFlags struct{ Call, Bits uint32 }

// program returns the filter for the kernel. What it is given is struct
// seccomp_data, see seccomp(2).
func (f SyscallFilter) program() ([]unix.SockFilter, error) {
	const number, arch, firstArgument = 0, 4, 16 // the lower half, on little-endian machines
	tests := len(f.Calls) + len(f.Missing) + 4*len(f.Flags)
	if tests > maxFilterCalls {
		return nil, fmt.Errorf("%d system calls are too many for one filter", tests)
	}
	instruction := func(code uint16, k uint32, then, otherwise int) unix.SockFilter {
		return unix.SockFilter{Code: code, K: k, Jt: uint8(then), Jf: uint8(otherwise)}
	}
	const load, give = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_RET | unix.BPF_K
	const equal, anyBit = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	// The tests are followed by three ends, which are jumped to.
	const refuse, missing = 1, 2 // after the one that allows
	program := []unix.SockFilter{
		instruction(load, arch, 0, 0), instruction(equal, f.Arch, 0, 1+tests), instruction(load, number, 0, 0),
	}
	to := func(end int) int { return 3 + tests - len(program) - 1 + end }
	for _, flags := range f.Flags {
		program = append(program, instruction(equal, flags.Call, 0, 3), instruction(load, firstArgument, 0, 0))
		program = append(program, instruction(anyBit, flags.Bits, to(refuse), 0))
		program = append(program, instruction(load, number, 0, 0))
	}
	for _, call := range f.Calls {
		program = append(program, instruction(equal, call, to(refuse), 0))
	}
	for _, call := range f.Missing {
		program = append(program, instruction(equal, call, to(missing), 0))
	}
	return append(program,
		instruction(give, unix.SECCOMP_RET_ALLOW, 0, 0),
		instruction(give, unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM), 0, 0),
		instruction(give, unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS), 0, 0)), nil
}

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
