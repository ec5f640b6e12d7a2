//go:build linux

package agent

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"

	"rkt/internal/guest/systemd"
)

// confinement is what keeps the app in. See systemd.exec(5).
func (u *unit) confinement() ([]systemd.Property, error) {
	c := u.req.Confinement
	properties := []systemd.Property{
		// Only what the app's /dev has, whatever it makes nodes of.
		{Name: "DevicePolicy", Value: "closed"},
	}
	if !c.GetAllCapabilities() {
		mask, err := capabilityMask(c.GetCapabilities())
		if err != nil {
			return nil, err
		}
		properties = append(properties, systemd.Property{Name: "CapabilityBoundingSet", Value: mask})
	}
	if c.GetSeccomp() {
		properties = append(properties, filter(u.has)...)
		if u.container {
			properties = append(properties, closedUserNamespaces())
		}
	}
	return append(properties, systemd.Property{Name: "NoNewPrivileges", Value: u.noNewPrivileges()}), nil
}

// has tells whether the app may have a capability.
func (u *unit) has(capability string) bool {
	c := u.req.Confinement
	return c.GetAllCapabilities() || slices.Contains(c.GetCapabilities(), capability)
}

// noNewPrivileges tells whether the app's programs can gain nothing. The
// kernel takes a filter of system calls only from those, root aside.
func (u *unit) noNewPrivileges() bool {
	c := u.req.Confinement
	return c.GetNoNewPrivileges() || c.GetSeccomp() && u.uid != 0
}

// closedUserNamespaces does for one app by a filter what a machine's own kernel
// is told once for all.
func closedUserNamespaces() systemd.Property {
	const others = uint64(unix.CLONE_NEWCGROUP | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWNS |
		unix.CLONE_NEWPID | unix.CLONE_NEWUTS)
	return systemd.Property{Name: "RestrictNamespaces", Value: others}
}

// capabilityMask returns the set that names like CAP_CHOWN stand for.
func capabilityMask(names []string) (uint64, error) {
	known := map[string]capability.Cap{}
	for _, c := range capability.ListKnown() {
		known["CAP_"+strings.ToUpper(c.String())] = c
	}
	var mask uint64
	for _, name := range names {
		c, ok := known[name]
		if !ok {
			return 0, fmt.Errorf("unknown capability %q", name)
		}
		mask |= 1 << uint(c)
	}
	return mask, nil
}

// syscallFilter is a list of system calls, allowed or withheld.
type syscallFilter struct {
	Allow bool
	Calls []string
}

// filter returns the default filter of system calls, as systemd wants it: the
// names of those that are withheld. It says what is withheld, not what is
// allowed, because building it is a good part of an app's start, and there are
// four times as many calls to allow.
func filter(has func(capability string) bool) []systemd.Property {
	return []systemd.Property{
		{Name: "SystemCallFilter", Value: syscallFilter{false, withheldFrom(has)}},
		{Name: "SystemCallErrorNumber", Value: int32(unix.EPERM)},
	}
}

// withheldFrom returns the system calls that are withheld from an app. It
// commonly does without them, because the kernel's code for it is old, little
// used or not aware of containers, unless the app has a capability that it goes
// with. The list is all that rkt's own list left out of those that the guest's
// kernel has; a test asserts that it has no others.
func withheldFrom(has func(capability string) bool) []string {
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
