package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// orphanTimeout is how long helpers may outlive the command they belong to.
const orphanTimeout = 20 * time.Second

// adoptOrphans makes every process that loses its parent a child of this one.
// Podman leaves helpers behind that clean up; they would disturb the next
// measurement.
func adoptOrphans() error {
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
}

// awaitOrphans returns when this process has no children left. It may only be
// called while nothing else waits for one.
func awaitOrphans(ctx context.Context) error {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	defer signal.Stop(ended)
	ctx, cancel := context.WithTimeout(ctx, orphanTimeout)
	defer cancel()
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.ECHILD):
			return nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return os.NewSyscallError("wait4", err)
		case pid > 0 || err != nil:
			continue
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return fmt.Errorf("processes are left over: %w", ctx.Err())
		}
	}
}
