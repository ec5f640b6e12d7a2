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
	"rkt/internal/stage1/supervisor"
)

// confinement lets the container as a whole do what some app of it may do. Each
// app is confined by itself inside.
func confinement(spec supervisor.Spec) []string {
	var args []string
	if spec.Run.DisableSeccomp || slices.ContainsFunc(spec.Apps, ownFilter) {
		args = append(args, "--system-call-filter=@known")
	} else {
		// systemd inside closes devices by it.
		args = append(args, "--system-call-filter=bpf")
	}
	if spec.Run.DisableCapabilities {
		return append(args, "--capability=all")
	}
	var wanted []string
	for _, app := range spec.Apps {
		capabilities, err := app.App.Isolators.Capabilities()
		if err != nil {
			continue // whoever starts the app says so
		}
		wanted = append(wanted, capabilities...)
	}
	slices.Sort(wanted)
	if wanted = slices.Compact(wanted); len(wanted) > 0 {
		args = append(args, "--capability="+strings.Join(wanted, ","))
	}
	return args
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
