package linux_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"rkt/internal/linux"
)

func TestCgroupKillsAndGoes(t *testing.T) {
	t.Parallel()
	needRoot(t)
	group, err := linux.PlanCgroup(fmt.Sprintf("rkt-test-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := group.Create(64 << 20); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := group.Remove(); err != nil {
			t.Error(err)
		}
	})
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range group {
		err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0)
		if err != nil {
			t.Fatal(err)
		}
	}
	if pids, err := group.Processes(); err != nil || len(pids) != 1 || pids[0] != cmd.Process.Pid {
		t.Fatalf("Processes = %v, %v", pids, err)
	}
	go func() { _ = cmd.Wait() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := group.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	if pids, err := group.Processes(); err != nil || len(pids) != 0 {
		t.Errorf("after Kill: %v, %v", pids, err)
	}
}

func TestCgroupThatIsGone(t *testing.T) {
	t.Parallel()
	gone := linux.Cgroup{"/sys/fs/cgroup/rkt-test-none"}
	if err := gone.Kill(t.Context()); err != nil {
		t.Error(err)
	}
	if err := gone.Remove(); err != nil {
		t.Error(err)
	}
}
