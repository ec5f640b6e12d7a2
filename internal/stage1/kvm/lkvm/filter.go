package lkvm

import (
	"fmt"

	"github.com/elastic/go-seccomp-bpf"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// allowed are the system calls that lkvm makes, its start included: those of
// the C library and its threads, and of the devices that we give it. All others
// fail. It starts no program and makes no connection; the socket in its home is
// one that it listens on whether anybody wants that or not.
func allowed() []string {
	return []string{
		// The start of a program.
		"execve", "brk", "arch_prctl", "access", "faccessat2", "openat", "newfstatat", "fstat", "mmap", "mprotect", "munmap",
		"set_tid_address", "set_robust_list", "rseq", "prlimit64", "getrandom", "uname",
		// Threads and signals.
		"clone", "clone3", "exit", "exit_group", "futex", "madvise", "prctl", "rt_sigaction", "rt_sigprocmask",
		"rt_sigreturn", "sigaltstack", "getpid", "gettid", "tgkill", "sched_yield", "sched_getaffinity",
		"nanosleep", "clock_nanosleep", "clock_gettime", "restart_syscall",
		// Disks, taps, the serial line.
		"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "lseek", "fsync", "fdatasync",
		"io_setup", "io_submit", "io_getevents", "io_destroy", "close", "fcntl", "dup", "poll", "ppoll",
		// The machine and its devices.
		"ioctl", "eventfd2", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "sysinfo", "statfs",
		// The socket in its home; a tap is looked at with one, too.
		"mkdir", "readlink", "unlink", "socket", "bind", "listen",
	}
}

// systemCalls returns the filter of lkvm's system calls.
func systemCalls() ([]unix.SockFilter, error) {
	policy := seccomp.Policy{
		DefaultAction: seccomp.ActionErrno,
		Syscalls:      []seccomp.SyscallGroup{{Action: seccomp.ActionAllow, Names: allowed()}},
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
