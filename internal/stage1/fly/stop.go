package fly

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rkt/internal/stage1"
	"rkt/internal/stage1/supervisor"
)

// Stop asks the app of the pod in the working directory to end, and returns at
// once. With force it kills all that belongs to the pod and returns when that is
// gone. A pod that has ended already is no error.
func Stop(ctx context.Context, args stage1.StopArgs) error {
	if args.Force {
		return supervisor.Stop(ctx, args)
	}
	if args.Timeout != nil {
		// Nobody is there to kill it later.
		return errors.New("this stage1 knows no time limits (try --force)")
	}
	b, err := os.ReadFile(stage1.PidFile)
	if errors.Is(err, os.ErrNotExist) {
		return supervisor.Stop(ctx, stage1.StopArgs{Force: true, UUID: args.UUID}) // its app has not begun
	}
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 1 {
		return errors.New("the pod's process is not recorded")
	}
	if err := unix.Kill(pid, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
		return os.NewSyscallError("kill", err)
	}
	return nil
}
