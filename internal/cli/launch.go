package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"rkt/internal/fault"
	"rkt/internal/image/store"
	"rkt/internal/pod"
	"rkt/internal/stage1"
)

// launch is how a prepared pod is to be run.
type launch struct {
	run    *run
	stage1 *pod.Stage1
	images *store.Store
	apps   []string
	entry  pod.EntryPoint
	args   []string // of the entry point
	// unmount undoes what was mounted for the stage1, as far as it is there.
	unmount func()
}

// launch runs a pod whose lock this process holds. Unless something is to be
// done later, this process becomes the pod's supervisor. The error may say that
// the stage1 was not even started; else it has ended.
func (p *program) launch(cmd *cobra.Command, made *pod.Pod, l *launch) (started bool, err error) {
	if err := p.requireIsolation(cmd.Context(), &l.run.isolation, l.stage1); err != nil {
		return false, err
	}
	if l.entry, err = l.stage1.EntryPoint(stage1.AnnotationRun); err != nil {
		return false, err
	}
	if err := l.run.network.write(made); err != nil {
		return false, err
	}
	if err := made.Start(); err != nil {
		return false, fmt.Errorf("start pod: %w", err)
	}
	if err := context.Cause(cmd.Context()); err != nil {
		return false, err
	}
	lock, err := made.Enter()
	if err != nil {
		return false, fmt.Errorf("start pod: %w", err)
	}
	if l.args, err = p.runArgs(cmd, made, l); err != nil {
		return false, fmt.Errorf("start pod: %w", err)
	}
	if l.unmount, err = l.showTrees(); err != nil {
		return false, fmt.Errorf("mount the apps: %w", err)
	}
	defer func() {
		if !started {
			l.unmount()
		}
	}()
	switch {
	case l.run.detach:
		return p.runDetached(cmd, made, l)
	case l.run.remove:
		return p.runAndRemove(cmd, made, l)
	}
	return false, become(lock, l)
}

// become makes this process the supervisor of the pod. It returns only if that
// fails.
func become(lock int, l *launch) error {
	if err := os.Setenv(stage1.LockFDEnv, strconv.Itoa(lock)); err != nil {
		return err
	}
	fault.Point("run.exec.before")
	err := syscall.Exec(l.entry.Program, append([]string{l.entry.Name}, l.args...), os.Environ())
	return fmt.Errorf("execute %s: %w", l.entry.Program, err)
}

// showTrees mounts what a stage1 finds that doesn't mount the apps itself. The
// working directory is the pod's. The mounts end with the stage1.
func (l *launch) showTrees() (unmount func(), err error) {
	if l.stage1.AppFormat() != stage1.AppFormatTree {
		return func() {}, nil
	}
	tree, err := l.images.OpenTree(l.stage1.TreeID())
	if err != nil {
		return nil, err
	}
	return pod.ShowTrees(filepath.Join(tree.Path, "rootfs"), l.apps)
}

func (p *program) runArgs(cmd *cobra.Command, made *pod.Pod, l *launch) ([]string, error) {
	insecure := &p.global.insecure
	var users stage1.IDRange
	private, err := made.PrivateUsers()
	if private && err == nil {
		users, err = made.TakeIDRange()
	}
	if err != nil {
		return nil, err
	}
	args, unsupported := stage1.RunArgs{
		Debug:               p.global.debug,
		Net:                 l.run.network.net.requests(),
		DNS:                 l.run.network.mode(),
		Interactive:         l.run.interactive,
		PrivateUsers:        users,
		IPC:                 stage1.IPCMode(l.run.ipc),
		LocalConfig:         string(p.global.localConfig),
		Hostname:            l.run.hostname,
		DisableCapabilities: insecure.has(insecureCapabilities),
		DisablePaths:        insecure.has(insecurePaths),
		DisableSeccomp:      insecure.has(insecureSeccomp),
		RequireIsolation:    stage1.Isolation(l.run.isolation),
		Register:            bool(l.run.register),
		UUID:                made.UUID,
	}.Args(l.stage1.Version)
	for _, option := range unsupported {
		p.messages(cmd).printf("warning: %s option is not supported by stage1", option)
	}
	return args, nil
}

// runDetached returns when the pod's apps run. From then on nothing of this
// process's, its terminal and pipes above all, is in use by the pod.
func (p *program) runDetached(cmd *cobra.Command, made *pod.Pod, l *launch) (started bool, err error) {
	supervisor, err := made.Background(l.entry, l.args)
	if err != nil {
		return false, err
	}
	opened, err := p.hand(made, supervisor, "detach")
	if opened == nil {
		return supervisor.Process != nil, err
	}
	defer opened.Close()
	if err == nil {
		err = opened.WaitReady(cmd.Context())
	}
	if err != nil { // interrupted
		_ = supervisor.Process.Signal(syscall.SIGTERM)
		_ = supervisor.Wait()
		return true, errors.Join(err, p.removeEnded(cmd, l, made.UUID))
	}
	if messages, err := opened.Messages(); err == nil {
		_, _ = p.stderr.Write(messages)
	}
	if !opened.Ready() {
		status := exitStatusOf(supervisor.Wait())
		return true, errors.Join(statusOnly(status), p.removeEnded(cmd, l, made.UUID))
	}
	if l.run.remove {
		if err := p.removeLater(made.UUID); err != nil {
			return true, fmt.Errorf("start what removes the pod later: %w", err)
		}
	}
	_, err = fmt.Fprintln(p.stdout, made.UUID)
	return true, err
}

// hand starts the pod's supervisor and gives it the pod, with its lock. It
// returns the pod without the lock, nil if the supervisor was not started.
func (p *program) hand(made *pod.Pod, supervisor *exec.Cmd, point string) (*pod.Pod, error) {
	fault.Point("run." + point + ".before")
	err := supervisor.Start()
	if f, ok := supervisor.Stderr.(*os.File); ok && f != os.Stderr {
		f.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("execute %s: %w", supervisor.Path, err)
	}
	fault.Point("run." + point + ".after")
	opened, err := p.openPod(made.UUID)
	return opened, errors.Join(err, made.Close())
}

// runAndRemove waits for the pod's end and removes it. Its exit status comes as
// an error.
func (p *program) runAndRemove(cmd *cobra.Command, made *pod.Pod, l *launch) (started bool, err error) {
	// The terminal's signals reach the supervisor as they reach us; those that
	// are for us alone are passed on.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGTERM)
	defer signal.Stop(signals)
	supervisor := made.Foreground(l.entry, l.args)
	opened, err := p.hand(made, supervisor, "rm")
	if opened == nil {
		return supervisor.Process != nil, err
	}
	defer opened.Close()
	ended := make(chan error, 1)
	go func() { ended <- supervisor.Wait() }()
	for {
		select {
		case s := <-signals:
			if s == syscall.SIGTERM {
				_ = supervisor.Process.Signal(s)
			}
		case err := <-ended:
			return true, errors.Join(statusOnly(exitStatusOf(err)), p.removeEnded(cmd, l, made.UUID))
		}
	}
}

// endTimeout bounds how long what a supervisor has started may outlive it: the
// kernel kills all of that.
const endTimeout = time.Minute

// removeEnded removes a pod that has ended, if that was asked for.
func (p *program) removeEnded(cmd *cobra.Command, l *launch, uuid string) error {
	if !l.run.remove {
		return nil
	}
	l.unmount()
	c := &pod.Collector{}
	if err := p.complete(cmd, c); err != nil {
		return err
	}
	c.Notify = func(pod.Event, string) {}
	opened, err := p.openPod(uuid)
	if err != nil {
		return err
	}
	defer opened.Close()
	// To be interrupted is no reason to leave it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), endTimeout)
	defer cancel()
	if err := opened.WaitFinished(ctx); err != nil {
		return fmt.Errorf("remove pod %q: %w", uuid, detail(err))
	}
	if err := c.Remove(context.WithoutCancel(ctx), opened); err != nil {
		return fmt.Errorf("remove pod %q: %w", uuid, detail(err))
	}
	return nil
}

// removeLater starts a process that removes a pod when it has ended.
func (p *program) removeLater(uuid string) error {
	args := append([]string{"rkt"}, p.global.again()...)
	later := &exec.Cmd{
		Path: "/proc/self/exe", Args: append(args, "rm", "--wait", uuid), Dir: "/",
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	fault.Point("run.remover.before")
	return later.Start()
}

// statusOnly is an exit status whose reason was told already.
type statusOnly int

func (s statusOnly) Error() string { return "exit status " + strconv.Itoa(int(s)) }

// exitStatusOf returns the exit status of a command as a shell would.
func exitStatusOf(err error) int {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		if err != nil {
			return statusError
		}
		return 0
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}
