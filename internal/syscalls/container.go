package syscalls

import "slices"

// ContainerWithheld returns the system calls that no program in a container with
// some capabilities may use, whatever an app's own filter says: the kernel is the
// host's, and these are not aware of containers.
// Source: what systemd-nspawn 252 withholds.
func ContainerWithheld(has func(capability string) bool) []string {
	var withhold []string
	for _, w := range containerWithheld() {
		if !slices.ContainsFunc(w.unless, has) {
			withhold = append(withhold, w.calls...)
		}
	}
	return withhold
}

func containerWithheld() []withheldCalls {
	return []withheldCalls{
		{[]string{"add_key", "keyctl", "kexec_file_load", "kexec_load", "request_key", "swapoff", "swapon"}, nil},
		{[]string{
			"_sysctl", "afs_syscall", "bdflush", "break", "create_module", "ftime", "get_kernel_syms", "getpmsg",
			"gtty", "idle", "lock", "mpx", "prof", "profil", "putpmsg", "query_module", "security", "sgetmask",
			"ssetmask", "stime", "stty", "sysfs", "tuxcall", "ulimit", "uselib", "ustat", "vserver",
		}, nil},
		{[]string{
			"fanotify_init", "fanotify_mark", "futex_requeue", "futex_wait", "futex_wake", "landlock_add_rule",
			"landlock_create_ruleset", "landlock_restrict_self", "lookup_dcookie", "map_shadow_stack", "memfd_secret",
			"modify_ldt", "open_by_handle_at", "perf_event_open", "pidfd_getfd", "pkey_alloc", "pkey_free",
			"pkey_mprotect", "process_mrelease", "quotactl", "quotactl_fd", "vm86", "vm86old",
		}, nil},
		{[]string{"mlock", "mlock2", "mlockall", "munlock", "munlockall"}, []string{"CAP_IPC_LOCK"}},
		{[]string{"delete_module", "finit_module", "init_module"}, []string{"CAP_SYS_MODULE"}},
		{[]string{"acct"}, []string{"CAP_SYS_PACCT"}},
		{[]string{"ioperm", "iopl"}, []string{"CAP_SYS_RAWIO"}},
		{[]string{
			"adjtimex", "clock_adjtime", "clock_adjtime64", "clock_settime", "clock_settime64", "settimeofday",
		}, []string{"CAP_SYS_TIME"}},
		{[]string{"syslog"}, []string{"CAP_SYSLOG"}},
	}
}

// ContainerMissing returns the system calls that are to seem not to exist in a
// container, as do all that nobody here knows: they are younger than systemd-nspawn
// 252, which has them so.
func ContainerMissing() []string {
	return []string{
		"cachestat", "getxattrat", "listmount", "listxattrat", "lsm_get_self_attr", "lsm_list_modules",
		"lsm_set_self_attr", "mseal", "nfsservctl", "open_tree_attr", "removexattrat", "setxattrat", "statmount",
		"uretprobe",
	}
}
