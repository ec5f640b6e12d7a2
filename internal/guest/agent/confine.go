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
	has := func(string) bool { return true }
	if !c.GetAllCapabilities() {
		mask, err := capabilityMask(c.GetCapabilities())
		if err != nil {
			return nil, err
		}
		properties = append(properties, systemd.Property{Name: "CapabilityBoundingSet", Value: mask})
		has = func(name string) bool { return slices.Contains(c.GetCapabilities(), name) }
	}
	noNewPrivileges := c.GetNoNewPrivileges()
	if c.GetSeccomp() {
		// The kernel takes a filter only from those who can gain nothing by it.
		noNewPrivileges = noNewPrivileges || u.uid != 0
		properties = append(properties, filter(has)...)
	}
	return append(properties, systemd.Property{Name: "NoNewPrivileges", Value: noNewPrivileges}), nil
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

// syscallFilter is a list of system calls, allowed or taken away again.
type syscallFilter struct {
	Allow bool
	Calls []string
}

// filter returns the default filter of system calls: what services commonly
// use, without what containers commonly do without because the kernel's code
// for it is old, little used or not aware of containers; and with what goes
// with a capability that the app has. systemd knows the sets by name:
// "systemd-analyze syscall-filter" lists them.
func filter(has func(capability string) bool) []systemd.Property {
	allow := []string{
		"@system-service", "@pkey",
		"chroot", "fanotify_mark", "mincore", "modify_ldt", "ptrace", "seccomp",
		"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self",
	}
	withhold := []string{"@keyring", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register"}
	if !has("CAP_SYS_ADMIN") {
		withhold = append(withhold, "setns", "unshare")
	}
	for name, calls := range callsByCapability() {
		if has(name) {
			allow = append(allow, calls...)
		}
	}
	slices.Sort(allow)
	return []systemd.Property{
		{Name: "SystemCallFilter", Value: syscallFilter{true, allow}},
		{Name: "SystemCallFilter", Value: syscallFilter{false, withhold}},
		{Name: "SystemCallErrorNumber", Value: int32(unix.EPERM)},
	}
}

// callsByCapability returns what is of use only to those who have a capability.
func callsByCapability() map[string][]string {
	return map[string][]string{
		"CAP_BPF":             {"bpf"},
		"CAP_DAC_READ_SEARCH": {"open_by_handle_at"},
		"CAP_PERFMON":         {"perf_event_open"},
		"CAP_SYSLOG":          {"syslog"},
		"CAP_SYS_ADMIN": {
			"@mount", "bpf", "fanotify_init", "lookup_dcookie", "perf_event_open",
			"quotactl", "quotactl_fd", "setdomainname", "sethostname", "syslog",
		},
		"CAP_SYS_BOOT":       {"@reboot"},
		"CAP_SYS_MODULE":     {"@module"},
		"CAP_SYS_PACCT":      {"acct"},
		"CAP_SYS_PTRACE":     {"pidfd_getfd"},
		"CAP_SYS_RAWIO":      {"@raw-io"},
		"CAP_SYS_TIME":       {"@clock"},
		"CAP_SYS_TTY_CONFIG": {"vhangup"},
	}
}
