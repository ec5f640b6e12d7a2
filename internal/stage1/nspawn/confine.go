package nspawn

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"rkt/internal/appc"
	"rkt/internal/linux"
	"rkt/internal/seccomp"
	"rkt/internal/stage1/supervisor"
)

// confinement is what the container as a whole may do: what some app of it may.
// Each app is confined by itself inside.
type confinement struct {
	// Capabilities are those beyond what every container has.
	Capabilities    []string `json:"capabilities"`
	AllCapabilities bool     `json:"allCapabilities"`
	AllCalls        bool     `json:"allCalls"` // system calls
}

func confine(spec supervisor.Spec) confinement {
	c := confinement{
		AllCapabilities: spec.Run.DisableCapabilities,
		AllCalls:        spec.Run.DisableSeccomp || slices.ContainsFunc(spec.Apps, ownFilter),
	}
	for _, app := range spec.Apps {
		capabilities, err := app.App.Isolators.Capabilities()
		if err != nil {
			continue // whoever starts the app says so
		}
		c.Capabilities = append(c.Capabilities, capabilities...)
	}
	slices.Sort(c.Capabilities)
	c.Capabilities = slices.Compact(c.Capabilities)
	return c
}

// arguments returns what systemd-nspawn is told.
func (c confinement) arguments() []string {
	switch {
	case c.AllCapabilities:
		return []string{"--capability=all"}
	case len(c.Capabilities) > 0:
		return []string{"--capability=" + strings.Join(c.Capabilities, ",")}
	}
	return nil
}

// withholdCalls puts the calling thread, which becomes systemd-nspawn, under the
// container's filters. systemd-nspawn would make the same ones of its own list: its
// library needs a third of the container's whole start for that.
func (c confinement) withholdCalls() error {
	var filters []linux.SyscallFilter
	for _, f := range seccomp.Container(c.has, c.AllCalls) {
		for _, n := range f.Numbers() {
			filters = append(filters, linux.SyscallFilter{Arch: n.Arch, Allow: f.Allow, Calls: n.Calls, Errno: f.Errno})
		}
	}
	// The kernel's audit system is not aware of containers; this is how it is when
	// there is none.
	for _, n := range seccomp.Sockets() {
		audit := linux.SyscallFilter{Arch: n.Arch, Errno: unix.EAFNOSUPPORT}
		for _, socket := range n.Calls {
			audit.Arguments = append(audit.Arguments, linux.SyscallArguments{Call: socket, Values: []linux.SyscallArgument{
				{Argument: 0, Value: unix.AF_NETLINK}, {Argument: 2, Value: unix.NETLINK_AUDIT},
			}})
		}
		filters = append(filters, audit)
	}
	for _, f := range filters {
		if err := f.Install(); err != nil {
			return err
		}
	}
	return nil
}

func (c confinement) has(capability string) bool {
	return c.AllCapabilities || slices.Contains(c.Capabilities, capability)
}

// ownFilter tells whether an app says which system calls it may use: which may be
// any. Those that say nothing are filtered as ever, each by itself.
func ownFilter(app appc.RuntimeApp) bool {
	calls, err := app.App.Isolators.SystemCalls()
	return calls != nil || err != nil
}

// leaveGroup moves this program out of the way of the container, which version
// 2 wants to have no other processes beside its own groups, and returns the
// group that the container is to start in. It is nil on a host without version 2.
func leaveGroup() (*os.File, error) {
	dir, err := linux.OwnCgroupDir()
	if dir == "" || err != nil {
		return nil, err
	}
	own := filepath.Join(dir, "rkt")
	if err := os.Mkdir(own, 0o755); err != nil && !os.IsExist(err) {
		return nil, err
	}
	if err := linux.Cgroup([]string{own}).Join(); err != nil {
		return nil, err
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), dir), nil
}

// warnOfLimits tells which limits this host can't apply in a container: their
// controllers are not in the hierarchy that a container gets to itself.
func warnOfLimits(apps []appc.RuntimeApp) {
	dir, err := linux.OwnCgroupDir()
	if err != nil {
		return
	}
	available := ""
	if dir != "" {
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		if err == nil {
			available = string(b)
		}
	}
	for _, resource := range []string{"memory", "cpu"} {
		wanted := slices.ContainsFunc(apps, func(app appc.RuntimeApp) bool { return limits(app, resource) })
		if wanted && !slices.Contains(strings.Fields(available), resource) {
			fmt.Fprintf(os.Stderr, "warning: resource/%s isolator set but support disabled in the kernel, skipping\n", resource)
		}
	}
}

func limits(app appc.RuntimeApp, resource string) bool {
	isolators := app.App.Isolators
	if resource == "memory" {
		_, limited := isolators.MemoryLimit()
		return limited
	}
	_, limited := isolators.CPULimit()
	_, shared := isolators.CPUShares()
	return limited || shared
}
