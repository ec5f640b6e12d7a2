package seccomp

import (
	"runtime"
	"slices"

	"github.com/elastic/go-seccomp-bpf/arch"
)

// Numbers are system calls for one way in which programs call the kernel.
type Numbers struct {
	Arch  uint32 // as AUDIT_ARCH_… names it
	Calls []uint32
}

// machines returns the ways in which programs can call this machine's kernel, its
// own first.
func machines() []*arch.Info {
	if runtime.GOARCH == "arm64" {
		return []*arch.Info{arch.AARCH64, arch.ARM}
	}
	// x32 is x86-64 with a bit set in each number.
	return []*arch.Info{arch.X86_64, arch.X32, arch.I386}
}

// Numbers returns the filter's calls by number, for each way of calling this
// machine's kernel that there is, its own first. Of an Allow filter those of x86-64 and x32 are
// together: the kernel takes them for one, and what one list allows the other
// would refuse.
func (f *Filter) Numbers() []Numbers {
	var all []Numbers
	for _, machine := range machines() {
		id := uint32(machine.ID)
		i := slices.IndexFunc(all, func(n Numbers) bool { return n.Arch == id })
		if i < 0 || !f.Allow {
			i, all = len(all), append(all, Numbers{Arch: id})
		}
		var calls []uint32
		names := f.callsOf(machine)
		// A name may have several numbers, of which the inverse map has any one.
		for number, name := range machine.SyscallNumbers {
			if names[name] {
				calls = append(calls, uint32(number)|uint32(machine.SeccompMask))
			}
		}
		slices.Sort(calls)
		all[i].Calls = append(all[i].Calls, calls...)
	}
	return all
}

// callsOf returns the filter's calls for a machine. Some make several others: who
// may not have one of those does not get it that way, though it takes the rest
// along.
func (f *Filter) callsOf(machine *arch.Info) map[string]bool {
	calls := make(map[string]bool, len(f.Calls))
	for _, call := range f.Calls {
		calls[call] = true
	}
	for of, made := range combined() {
		_, known := machine.SyscallNames[of]
		if known && !f.Allow && slices.ContainsFunc(made, func(call string) bool { return slices.Contains(f.Calls, call) }) {
			calls[of] = true
		}
	}
	return calls
}

// combined returns the calls that make others, by a number in their first
// argument. Source: socketcall(2), ipc(2).
func combined() map[string][]string {
	return map[string][]string{
		"socketcall": {
			"accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen", "recv", "recvfrom",
			"recvmmsg", "recvmsg", "send", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown", "socket", "socketpair",
		},
		"ipc": {
			"msgctl", "msgget", "msgrcv", "msgsnd", "semctl", "semget", "semop", "semtimedop", "shmat", "shmctl", "shmdt", "shmget",
		},
	}
}

// isCall tells whether any kind of machine has a system call of that name.
func isCall(name string) bool {
	return slices.ContainsFunc([]*arch.Info{arch.X86_64, arch.X32, arch.I386, arch.AARCH64, arch.ARM}, func(machine *arch.Info) bool {
		_, ok := machine.SyscallNames[name]
		return ok
	})
}
