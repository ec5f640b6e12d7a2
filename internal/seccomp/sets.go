package seccomp

import (
	"fmt"
	"slices"
	"strings"
)

// Sets of system calls that have a name. Source: appc spec 0.8.11, "linux
// isolators", and rkt 1.30.
const (
	everything = "@appc.io/all"
	nothing    = "@appc.io/empty"
)

// set is a set of system calls: those named, or all but those.
type set struct {
	allBut bool
	names  []string
}

// union returns what is in either set.
func (s set) union(other set) set {
	switch {
	case s.allBut && other.allBut:
		return set{true, slices.DeleteFunc(slices.Clone(s.names), func(n string) bool { return !slices.Contains(other.names, n) })}
	case s.allBut:
		return set{true, slices.DeleteFunc(slices.Clone(s.names), func(n string) bool { return slices.Contains(other.names, n) })}
	case other.allBut:
		return other.union(s)
	}
	return set{false, slices.Concat(s.names, other.names)}
}

// lookUp returns the set that an entry of an isolator names.
func lookUp(name string, capabilities []string) (set, error) {
	if !strings.HasPrefix(name, "@") {
		if !isCall(name) {
			return set{}, nil
		}
		return set{names: []string{name}}, nil
	}
	switch name {
	case everything:
		return set{allBut: true}, nil
	case nothing:
		return set{}, nil
	case "@docker/default-whitelist", "@rkt/default-whitelist":
		return set{true, withheld(capabilities)}, nil
	case "@docker/default-blacklist", "@rkt/default-blacklist":
		return set{names: withheld(nil)}, nil
	}
	group, ok := strings.CutPrefix(name, "@systemd/")
	if text, known := groups()[group]; ok && known {
		return set{names: strings.Fields(text)}, nil
	}
	return set{}, fmt.Errorf("%q is not a set of system calls", name)
}

// always returns what every program needs, and systemd adds to every list of
// what is allowed.
func always() []string { return strings.Fields(groups()["default-whitelist"]) }

// groups returns the sets that systemd knows by the same names; the first is its
// @default. Source: systemd 252, systemd-analyze syscall-filter.
func groups() map[string]string {
	const (
		chown   = "chown chown32 fchown fchown32 fchownat lchown lchown32 "
		clock   = "adjtimex clock_adjtime clock_adjtime64 clock_settime clock_settime64 settimeofday "
		module  = "delete_module finit_module init_module "
		port    = "ioperm iopl pciconfig_iobase pciconfig_read pciconfig_write s390_pci_mmio_read s390_pci_mmio_write "
		restart = "kexec_file_load kexec_load reboot "
		swap    = "swapoff swapon "
	)
	return map[string]string{
		"default-whitelist": "arch_prctl brk cacheflush clock_getres clock_getres_time64 clock_gettime clock_gettime64 " +
			"clock_nanosleep clock_nanosleep_time64 execve exit exit_group futex futex_time64 futex_waitv " +
			"get_robust_list get_thread_area getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups " +
			"getgroups32 getpgid getpgrp getpid getppid getrandom getresgid getresgid32 getresuid getresuid32 " +
			"getrlimit getsid gettid gettimeofday getuid getuid32 membarrier mmap mmap2 mprotect munmap nanosleep " +
			"pause prlimit64 restart_syscall riscv_flush_icache riscv_hwprobe rseq rt_sigreturn sched_getaffinity " +
			"sched_yield set_robust_list set_thread_area set_tid_address set_tls sigreturn time ugetrlimit uretprobe",
		"clock": clock,
		"mount": "chroot fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree pivot_root umount umount2",
		"network-io": "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg " +
			"recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socket socketcall socketpair",
		"obsolete": "_sysctl afs_syscall bdflush break create_module ftime get_kernel_syms getpmsg gtty idle lock mpx " +
			"prof profil putpmsg query_module security sgetmask ssetmask stime stty sysfs tuxcall ulimit uselib ustat vserver",
		"privileged": chown + clock + module + port + restart + swap +
			"_sysctl acct bpf capset chroot fanotify_init fanotify_mark nfsservctl open_by_handle_at pivot_root quotactl " +
			"quotactl_fd setdomainname setfsuid setfsuid32 setgroups setgroups32 sethostname setresuid setresuid32 " +
			"setreuid setreuid32 setuid setuid32 vhangup",
		"process": "capget clone clone3 execveat fork getrusage kill pidfd_open pidfd_send_signal prctl rt_sigqueueinfo " +
			"rt_tgsigqueueinfo setns swapcontext tgkill times tkill unshare vfork wait4 waitid waitpid",
		"raw-io": port,
	}
}
