package fly

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/appc"
	"rkt/internal/fault"
	"rkt/internal/linux"
	"rkt/internal/stage1"
	"rkt/internal/stage1/supervisor"
)

const (
	// statusOwnError is rkt's exit status for everything that is not the app's.
	statusOwnError = 254
	// killTimeout bounds how long killed processes may take to be gone.
	killTimeout = 10 * time.Second
)

// pgidFile holds the app's process group, decimal. Source: rkt 1.30.
const pgidFile = "pgid"

// Run runs the pod in the working directory and returns the exit status that rkt
// ends with: the app's, 254 with an error.
func Run(ctx context.Context, args stage1.RunArgs) (int, error) {
	if err := refuse(args); err != nil {
		return statusOwnError, err
	}
	// Mounts are this thread's, and the kernel kills the app if it ends.
	runtime.LockOSThread()
	// Writing to a pipe that nobody reads is an error for the writer, not the end
	// of the pod.
	signal.Ignore(unix.SIGPIPE)
	service := newService()
	pod, err := supervisor.OpenPlain(ctx, args.UUID, service)
	if err != nil {
		return statusOwnError, err
	}
	if len(pod.Apps()) > 1 {
		return statusOwnError, errors.New("fly only supports 1 application per Pod for now")
	}
	app := pod.Apps()[0]
	root, err := prepare(app, args)
	if err != nil {
		return statusOwnError, err
	}
	command, err := newCommand(app, root)
	if err != nil {
		return statusOwnError, err
	}
	mounts, err := linux.OwnMounts()
	if err != nil {
		return statusOwnError, err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	fault.Point("run.fly.before-start")
	process, err := command.startApp(pod, args.Interactive)
	if err != nil {
		return statusOwnError, err
	}
	fault.Point("run.fly.after-start")
	// Whoever sees that the pod is ready may run something in it.
	service.started(place{app, root, mounts}, process)
	if err := recordStart(pod, process.Pid); err != nil {
		return statusOwnError, errors.Join(err, process.Kill())
	}
	go passOn(signals, process.Pid)
	state, err := process.Wait()
	if err != nil {
		return statusOwnError, err
	}
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	status := exitStatus(state)
	return status, pod.Ended(ctx, string(app.Name), status)
}

// refuse tells of what fly can't give a pod.
func refuse(args stage1.RunArgs) error {
	switch {
	case args.Register:
		return errors.New("fly has no network of its own to ask the metadata service from")
	case args.PrivateUsers != stage1.IDRange{}:
		return errors.New("fly gives pods no users of their own (try to remove --private-users)")
	case args.IPC == stage1.IPCPrivate:
		return errors.New("fly gives pods no IPC namespace of their own (try to remove --ipc)")
	}
	return nil
}

// recordStart writes where the pod's first process is to be found.
func recordStart(pod *supervisor.Plain, pid int) error {
	if err := os.WriteFile(pgidFile, fmt.Appendf(nil, "%d\n", pid), 0o640); err != nil { //nolint:gosec // no secret
		return err
	}
	return pod.Started(pid)
}

// passOn gives the app's process group the signals that end this program
// otherwise.
func passOn(signals <-chan os.Signal, pid int) {
	for s := range signals {
		if number, ok := s.(syscall.Signal); ok {
			_ = unix.Kill(-pid, number)
		}
	}
}

// exitStatus is the code, or 128 and the number of the signal.
func exitStatus(state *os.ProcessState) int {
	ws, ok := state.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() {
		const signaled = 128
		return signaled + int(ws.Signal())
	}
	return state.ExitCode()
}

// rootOf is where rkt has mounted an app's tree.
func rootOf(app appc.RuntimeApp) string {
	return filepath.Join("stage1/rootfs/opt/stage2", string(app.Name), "rootfs")
}
