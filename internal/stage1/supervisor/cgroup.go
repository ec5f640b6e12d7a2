package supervisor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"rkt/internal/fault"
	"rkt/internal/linux"
)

// joinCgroup moves the supervisor, and so every process it starts, into a
// group of the pod's own with a memory limit. Where systemd runs the host the
// group is a scope that systemd made and delegated; elsewhere we make it. Its
// directories are noted in cgroupFile.
func joinCgroup(ctx context.Context, uuid string, memoryMax int64) error {
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		return joinScope(ctx, uuid, memoryMax)
	}
	group, err := linux.PlanCgroup(groupName(uuid))
	if err != nil {
		return err
	}
	// Noted before it is made, so that it can be removed after a crash.
	if err := recordCgroup(group); err != nil {
		return err
	}
	if _, err := group.Create(memoryMax); err != nil {
		return err
	}
	fault.Point("run.cgroup.made")
	err = group.Join()
	fault.Point("run.cgroup.joined")
	return err
}

// joinScope asks systemd for a scope. systemd removes it when its last process
// has ended, so a crash before it is noted leaves nothing.
func joinScope(ctx context.Context, uuid string, memoryMax int64) error {
	conn, err := systemd.NewSystemdConnectionContext(ctx)
	if err != nil {
		return fmt.Errorf("connect to systemd: %w", err)
	}
	defer conn.Close()
	properties := []systemd.Property{
		systemd.PropDescription("rkt pod " + uuid),
		systemd.PropSlice("machine.slice"),
		systemd.PropPids(uint32(os.Getpid())),
		{Name: "Delegate", Value: dbus.MakeVariant(true)},
		{Name: "MemoryMax", Value: dbus.MakeVariant(scopeMemory(memoryMax))},
		{Name: "CollectMode", Value: dbus.MakeVariant("inactive-or-failed")},
	}
	name := scopeName(uuid)
	done := make(chan string, 1)
	if _, err := conn.StartTransientUnitContext(ctx, name, "fail", properties, done); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	select {
	case result := <-done:
		if result != "done" {
			return fmt.Errorf("start %s: %s", name, result)
		}
	case <-ctx.Done():
		return fmt.Errorf("start %s: %w", name, ctx.Err())
	}
	group, err := linux.OwnCgroup(name)
	if err != nil {
		return err
	}
	return recordCgroup(group)
}

// scopeMemory is a limit as systemd takes it: 0 of ours is none.
func scopeMemory(memoryMax int64) uint64 {
	if memoryMax == 0 {
		return math.MaxUint64
	}
	return uint64(memoryMax)
}

func recordCgroup(group linux.Cgroup) error {
	return writeFile(cgroupFile, []byte(strings.Join(group, "\n")+"\n"))
}

// recordedCgroup returns the group of the pod in the working directory, empty if
// it never had one. Its processes may be killed: a directory that is not named
// after the pod is an error.
func recordedCgroup(uuid string) (linux.Cgroup, error) {
	b, err := readFile(cgroupFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	group := linux.Cgroup(strings.Fields(string(b)))
	for _, dir := range group {
		if base := filepath.Base(dir); base != groupName(uuid) && base != scopeName(uuid) {
			return nil, fmt.Errorf("%s: %s is not the pod's", cgroupFile, dir)
		}
	}
	return group, nil
}

// groupName is the name of a group that we make. It is directly below the root,
// because no pod could know when it may remove a parent that all share.
func groupName(uuid string) string { return "rkt-" + uuid }

// scopeName is the name of a pod's scope.
func scopeName(uuid string) string { return "rkt-" + uuid + ".scope" }
