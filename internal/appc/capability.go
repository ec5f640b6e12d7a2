package appc

import (
	"errors"
	"fmt"
	"slices"
)

// knownCapabilities returns the capabilities of Linux.
func knownCapabilities() []string {
	return []string{
		"CAP_AUDIT_CONTROL", "CAP_AUDIT_READ", "CAP_AUDIT_WRITE", "CAP_BLOCK_SUSPEND", "CAP_BPF",
		"CAP_CHECKPOINT_RESTORE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER",
		"CAP_FSETID", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_KILL", "CAP_LEASE", "CAP_LINUX_IMMUTABLE",
		"CAP_MAC_ADMIN", "CAP_MAC_OVERRIDE", "CAP_MKNOD", "CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE",
		"CAP_NET_BROADCAST", "CAP_NET_RAW", "CAP_PERFMON", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP",
		"CAP_SETUID", "CAP_SYSLOG", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_CHROOT", "CAP_SYS_MODULE",
		"CAP_SYS_NICE", "CAP_SYS_PACCT", "CAP_SYS_PTRACE", "CAP_SYS_RAWIO", "CAP_SYS_RESOURCE",
		"CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_WAKE_ALARM",
	}
}

// defaultCapabilities returns what an app gets that asks for nothing else.
func defaultCapabilities() []string {
	return []string{
		"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
		"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID",
		"CAP_SYS_CHROOT",
	}
}

// capabilities returns the set of an isolator for capabilities.
func (i Isolator) capabilities() ([]string, error) {
	var s set
	if err := i.decode(&s); err != nil {
		return nil, err
	}
	if len(s.Set) == 0 {
		return nil, at("set", errors.New("must not be empty"))
	}
	known := knownCapabilities()
	return s.Set, each("set", s.Set, func(name string) error {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%q is not a capability", name)
		}
		return nil
	})
}

// Capabilities returns the capabilities that the app may have, as "CAP_CHOWN",
// sorted: those of the retain set, or the default ones without those of the
// remove set, or the default ones. Both sets together are an error.
func (is Isolators) Capabilities() ([]string, error) {
	var retain, remove []string
	for _, i := range is {
		var err error
		switch i.Name {
		case IsolatorCapsRetain:
			retain, err = i.capabilities()
		case IsolatorCapsRemove:
			remove, err = i.capabilities()
		}
		if err != nil {
			return nil, at(string(i.Name), err)
		}
	}
	if retain != nil && remove != nil {
		return nil, fmt.Errorf("%s and %s exclude each other", IsolatorCapsRetain, IsolatorCapsRemove)
	}
	result := defaultCapabilities()
	if retain != nil {
		result = slices.Clone(retain)
	}
	result = slices.DeleteFunc(result, func(name string) bool { return slices.Contains(remove, name) })
	slices.Sort(result)
	return slices.Compact(result), nil
}
