package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"rkt/internal/fault"
	"rkt/internal/stage1"
)

// HelperName is what a stage1's program is called by to be a helper.
const HelperName = "disconnect"

// helper is a process that takes the pod off its networks in the end: the
// supervisor itself, which reads what guests send, has given up by then what
// that takes. It does nothing else, reads nothing, and dies with the supervisor;
// then its work is left to the collector.
type helper struct {
	begin io.WriteCloser
	ended <-chan error
}

// startHelper starts the helper of a pod. It holds the pod's lock.
func startHelper(uuid string, lock *os.File) (*helper, error) {
	wait, begin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer wait.Close()
	cmd := exec.Command("/proc/self/exe", uuid)
	cmd.Args[0] = HelperName
	cmd.Env = []string{stage1.LockFDEnv + "=3", "PATH=" + os.Getenv("PATH")}
	cmd.Stdin, cmd.Stderr, cmd.ExtraFiles = wait, os.Stderr, []*os.File{lock}
	// A Ctrl-C in the terminal is the supervisor's business alone.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		// The kernel kills the helper when the thread ends that started it.
		runtime.LockOSThread()
		fault.Point("run.helper.before-start")
		err := cmd.Start()
		fault.Point("run.helper.after-start")
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(err, begin.Close())
	}
	return &helper{begin, ended}, nil
}

// finish has the helper do its work and returns when it has ended.
func (h *helper) finish(ctx context.Context) error {
	_, err := h.begin.Write([]byte{1})
	if err := errors.Join(err, h.begin.Close()); err != nil {
		return fmt.Errorf("tell the helper: %w", err)
	}
	select {
	case err := <-h.ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Help is a helper: it waits until it is told to begin.
func Help(ctx context.Context, uuid string) error {
	lock, err := lockFile()
	if err != nil {
		return err
	}
	switch _, err := os.Stdin.Read(make([]byte, 1)); {
	case errors.Is(err, io.EOF):
		return nil // nobody told it
	case err != nil:
		return err
	}
	return undo(ctx, uuid, lock)
}
