package lkvm

import (
	"fmt"

	"github.com/elastic/go-seccomp-bpf"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// allowed are the system calls that lkvm makes, its start included: those of the C
// library and its threads, and of the devices that we give it. All others fail. It
// starts no program and makes no connection.
func allowed() []string {
	return []string{
		// The start of a program.
		"execve", "brk", "arch_prctl", "access", "faccessat2", "openat", "newfstatat", "fstat", "mmap", "mprotect", "munmap",
		"set_tid_address", "set_robust_list", "rseq", "prlimit64", "getrandom", "uname",
		// Threads and signals.
		"exit", "exit_group", "futex", "madvise", "prctl", "rt_sigaction", "rt_sigprocmask",
		"rt_sigreturn", "sigaltstack", "getpid", "gettid", "tgkill", "sched_yield", "sched_getaffinity",
		"nanosleep", "clock_nanosleep", "clock_gettime", "restart_syscall",
		// Disks, taps, the serial line.
		"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "lseek", "fsync", "fdatasync",
		"io_setup", "io_submit", "io_getevents", "io_destroy", "close", "fcntl", "dup", "poll", "ppoll",
		// The machine and its devices.
		"ioctl", "eventfd2", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "sysinfo", "statfs",
		// The socket in its home; a tap is looked at with one, too.
		"mkdir", "readlink", "unlink", "bind", "listen",
	}
}

// allowedWith are system calls that are harmless with some arguments only: clone
// makes threads, but no processes with namespaces of their own, in which a user
// would be root; and sockets are for the one in its home, which it listens on
// whether anybody wants that or not, and to ask for a tap's features with.
func allowedWith() []seccomp.NameWithConditions {
	with := func(name string, op seccomp.Operation, value uint64) seccomp.NameWithConditions {
		return seccomp.NameWithConditions{Name: name, Conditions: seccomp.ArgumentConditions{{Operation: op, Value: value}}}
	}
	return []seccomp.NameWithConditions{
		with("clone", seccomp.BitsSet, unix.CLONE_THREAD),
		with("socket", seccomp.Equal, unix.AF_UNIX), with("socket", seccomp.Equal, unix.AF_INET),
	}
}

// systemCalls returns the filter of lkvm's system calls.
func systemCalls() ([]unix.SockFilter, error) {
	policy := seccomp.Policy{
		DefaultAction: seccomp.ActionErrno,
		Syscalls: []seccomp.SyscallGroup{
			// Its flags are out of a filter's sight. C libraries do without it then.
			{Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS), Names: []string{"clone3"}},
			{Action: seccomp.ActionAllow, Names: allowed(), NamesWithCondtions: allowedWith()},
		},
	}
	instructions, err := policy.Assemble()
	if err != nil {
		return nil, fmt.Errorf("filter of system calls: %w", err)
	}
	raw, err := bpf.Assemble(instructions)
	if err != nil {
		return nil, fmt.Errorf("filter of system calls: %w", err)
	}
	filter := make([]unix.SockFilter, len(raw))
	for n, i := range raw {
		filter[n] = unix.SockFilter{Code: i.Op, Jt: i.Jt, Jf: i.Jf, K: i.K}
	}
	return filter, nil
}
