// Package syscalls knows which system calls apps commonly do without. It names
// them; which numbers they have is somebody else's business.
package syscalls

import "slices"

// Withheld returns the system calls that the default filter withholds from an
// app with some capabilities: the kernel's code for them is old, little used or
// not aware of containers, unless the app has a capability that goes with them.
// The list is all that rkt's own list left out of those that the guest's kernel
// has; a test asserts that it has no others.
func Withheld(has func(capability string) bool) []string {
	var withhold []string
	for _, w := range withheld() {
		if !slices.ContainsFunc(w.unless, has) {
			withhold = append(withhold, w.calls...)
		}
	}
	return withhold
}

// withheldCalls are system calls that only go with one of some capabilities.
type withheldCalls struct {
	calls  []string
	unless []string
}

// withheld returns the default filter, all sorts of machines taken together.
func withheld() []withheldCalls {
	return []withheldCalls{
		{[]string{"add_key", "keyctl", "request_key", "swapoff", "swapon"}, nil},
		{[]string{
			"_sysctl", "afs_syscall", "bdflush", "break", "create_module", "ftime", "get_kernel_syms", "getpmsg",
			"gtty", "idle", "lock", "mpx", "prof", "profil", "putpmsg", "query_module", "security", "sgetmask",
			"ssetmask", "stime", "stty", "sysfs", "tuxcall", "ulimit", "uselib", "ustat", "vserver",
		}, nil},
		{[]string{"io_uring_enter", "io_uring_register", "io_uring_setup"}, nil},
		{[]string{"memfd_secret", "nfsservctl", "userfaultfd", "vm86", "vm86old"}, nil},
		{[]string{
			"adjtimex", "clock_adjtime", "clock_adjtime64", "clock_settime", "clock_settime64", "settimeofday",
		}, []string{"CAP_SYS_TIME"}},
		{[]string{"delete_module", "finit_module", "init_module"}, []string{"CAP_SYS_MODULE"}},
		{[]string{"ioperm", "iopl"}, []string{"CAP_SYS_RAWIO"}},
		{[]string{"kexec_file_load", "kexec_load", "reboot"}, []string{"CAP_SYS_BOOT"}},
		{[]string{"acct"}, []string{"CAP_SYS_PACCT"}},
		{[]string{"bpf"}, []string{"CAP_BPF", "CAP_SYS_ADMIN"}},
		{[]string{"lookup_dcookie", "perf_event_open"}, []string{"CAP_PERFMON", "CAP_SYS_ADMIN"}},
		{[]string{"open_by_handle_at"}, []string{"CAP_DAC_READ_SEARCH"}},
		{[]string{"pidfd_getfd"}, []string{"CAP_SYS_PTRACE"}},
		{[]string{"syslog"}, []string{"CAP_SYSLOG", "CAP_SYS_ADMIN"}},
		{[]string{"vhangup"}, []string{"CAP_SYS_TTY_CONFIG"}},
		{[]string{
			"fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount",
			"open_tree", "pivot_root", "quotactl", "quotactl_fd", "setdomainname", "sethostname", "setns",
			"umount", "umount2", "unshare",
		}, []string{"CAP_SYS_ADMIN"}},
	}
}
