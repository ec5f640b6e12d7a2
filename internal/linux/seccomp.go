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
	// Arguments are calls that are withheld if their arguments have some values.
	Arguments []SyscallArguments
	// Missing are calls that seem not to exist: ENOSYS.
	Missing []uint32
}

// SyscallArguments is a call that is withheld if all these arguments have these
// values, of which the lower halves count.
type SyscallArguments struct {
	Call   uint32
	Values []SyscallArgument
}

// SyscallArgument is the value of an argument of a system call.
type SyscallArgument struct {
	Argument uint32 // 0 for the first
	Value    uint32
}

// SyscallFlags are bits of an argument of a system call: the call is withheld if
// one of them is set, or if nothing at all is and None says so.
type SyscallFlags struct {
	Call, Bits uint32
	Argument   uint32 // 0 for the first
	None       bool
}

// Instructions of filters. What they look at is struct seccomp_data, see seccomp(2).
const (
	bpfLoad   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	bpfGive   = unix.BPF_RET | unix.BPF_K
	bpfEqual  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	bpfAnyBit = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K

	dataNumber, dataArch = 0, 4
)

// dataArgument is where the lower half of an argument is, on little-endian machines.
func dataArgument(n uint32) uint32 {
	const first, size = 16, 8
	return first + size*n
}

func bpf(code uint16, k uint32, then, otherwise uint8) unix.SockFilter {
	return unix.SockFilter{Code: code, K: k, Jt: then, Jf: otherwise}
}

// program returns the filter for the kernel.
func (f SyscallFilter) program() ([]unix.SockFilter, error) {
	allow, refuse := uint32(unix.SECCOMP_RET_ALLOW), unix.SECCOMP_RET_ERRNO|uint32(f.Errno)
	listed, others := refuse, allow
	if f.Allow {
		listed, others = allow, refuse
	}
	program := []unix.SockFilter{
		bpf(bpfLoad, dataArch, 0, 0), bpf(bpfEqual, f.Arch, 1, 0), bpf(bpfGive, allow, 0, 0),
		bpf(bpfLoad, dataNumber, 0, 0),
	}
	for _, flags := range f.Flags {
		program = append(program, flags.program(refuse)...)
	}
	for _, arguments := range f.Arguments {
		program = append(program, arguments.program(refuse)...)
	}
	// A jump reaches no further than 255 instructions, so each call ends by itself.
	for _, call := range f.Calls {
		program = append(program, bpf(bpfEqual, call, 0, 1), bpf(bpfGive, listed, 0, 0))
	}
	for _, call := range f.Missing {
		program = append(program, bpf(bpfEqual, call, 0, 1), bpf(bpfGive, unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS), 0, 0))
	}
	program = append(program, bpf(bpfGive, others, 0, 0))
	if len(program) > maxProgram {
		return nil, fmt.Errorf("%d system calls are too many for one filter", len(f.Calls))
	}
	return program, nil
}

// program leaves the call's number where it was, as do those of all parts.
func (f SyscallFlags) program(refuse uint32) []unix.SockFilter {
	// Without None the first test is for some of what the second is for.
	none := uint32(0)
	if !f.None {
		none = f.Bits
	}
	return []unix.SockFilter{
		bpf(bpfEqual, f.Call, 0, 5),
		bpf(bpfLoad, dataArgument(f.Argument), 0, 0),
		bpf(bpfEqual, none, 1, 0), bpf(bpfAnyBit, f.Bits, 0, 1),
		bpf(bpfGive, refuse, 0, 0), bpf(bpfLoad, dataNumber, 0, 0),
	}
}

func (a SyscallArguments) program(refuse uint32) []unix.SockFilter {
	rest := uint8(2*len(a.Values) + 1) // instructions up to the last one
	program := []unix.SockFilter{bpf(bpfEqual, a.Call, 0, rest)}
	for _, v := range a.Values {
		rest -= 2
		program = append(program, bpf(bpfLoad, dataArgument(v.Argument), 0, 0), bpf(bpfEqual, v.Value, 0, rest))
	}
	return append(program, bpf(bpfGive, refuse, 0, 0), bpf(bpfLoad, dataNumber, 0, 0))
}

// maxProgram is how many instructions a filter may have. Source: BPF_MAXINSNS.
const maxProgram = 4096

// Install puts the filter on the calling thread and what it starts, for good.
// It takes CAP_SYS_ADMIN or no_new_privs.
func (f SyscallFilter) Install() error {
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
