package fly

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"rkt/internal/appc"
	"rkt/internal/guest/approot"
	"rkt/internal/linux"
	"rkt/internal/stage1/applog"
	"rkt/internal/stage1/supervisor"
	"rkt/internal/terminal"
)

// command is an app's program, ready to be started.
type command struct {
	app         appc.RuntimeApp
	root        linux.Root
	path        string // of the root
	binary      string // in the root
	directory   string // in the root
	uid, gid    uint32
	groups      []uint32
	environment []string
}

// newCommand looks up in the app's root what its manifest has by name.
func newCommand(app appc.RuntimeApp, root linux.Root) (*command, error) {
	c := &command{app: app, root: root, environment: supervisor.Environment(app), directory: cmp.Or(app.App.WorkingDirectory, "/")}
	if len(app.App.Exec) == 0 {
		return nil, fmt.Errorf("app %q has an empty \"exec\" (try --exec=BINARY)", app.Name)
	}
	var err error
	if c.path, err = filepath.Abs(rootOf(app)); err != nil {
		return nil, err
	}
	if c.uid, err = approot.LookupUser(root, app.App.User); err != nil {
		return nil, c.failed(err)
	}
	if c.gid, err = approot.LookupGroup(root, app.App.Group); err != nil {
		return nil, c.failed(err)
	}
	for _, gid := range app.App.SupplementaryGIDs {
		c.groups = append(c.groups, uint32(gid))
	}
	st, err := root.Stat(c.directory)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = errors.New("not a directory")
	}
	if err != nil {
		return nil, c.failed(fmt.Errorf("working directory %q: %w", c.directory, err))
	}
	searchPath, hasPath := c.variable("PATH")
	c.binary, err = approot.LookupBinary(root, app.App.Exec[0], app.App.WorkingDirectory, searchPath, hasPath)
	if err != nil {
		return nil, c.failed(err)
	}
	return c, nil
}

func (c *command) failed(err error) error { return fmt.Errorf("start app %q: %w", c.app.Name, err) }

// variable returns a variable of the app's environment. The last one counts.
func (c *command) variable(name string) (value string, ok bool) {
	for _, v := range c.environment {
		if text, is := strings.CutPrefix(v, name+"="); is {
			value, ok = text, true
		}
	}
	return value, ok
}

// start executes the program in its root, with some descriptors. The calling
// thread must be in the pod's mount namespace and live as long as the program:
// the kernel kills that otherwise. It does not get the pod's lock: what the app
// has started must not keep the collector from killing it.
func (c *command) start(files []*os.File, attr syscall.SysProcAttr) (*os.Process, error) {
	attr.Chroot = c.path
	attr.Credential = &syscall.Credential{Uid: c.uid, Gid: c.gid, Groups: c.groups}
	attr.Pdeathsig = syscall.SIGKILL
	process, err := os.StartProcess(c.binary, append([]string{c.binary}, c.app.App.Exec[1:]...), &os.ProcAttr{
		Dir: c.directory, Env: c.environment, Sys: &attr, Files: files,
	})
	if err != nil {
		return nil, c.failed(cmp.Or(approot.ExplainExec(c.root, c.binary), err))
	}
	return process, nil
}

// startApp starts the pod's app in a process group of its own.
func (c *command) startApp(pod *supervisor.Plain, interactive bool) (*os.Process, error) {
	if err := supervisor.WriteEnvironment(string(c.app.Name), c.environment); err != nil {
		return nil, err
	}
	attr := syscall.SysProcAttr{Setpgid: true}
	// A program that reads from the terminal must be in its foreground.
	if group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP); err == nil && group == unix.Getpgrp() {
		attr.Foreground, attr.Ctty = true, 0
	}
	files := []*os.File{os.Stdin, os.Stdout, os.Stderr}
	for i, stream := range []string{applog.Stdout, applog.Stderr} {
		if interactive && terminal.Is(files[1+i]) {
			continue // the app has the terminal to itself
		}
		output, err := pod.Output(string(c.app.Name), stream, c.uid, files[1+i])
		if err != nil {
			return nil, err
		}
		defer output.Close()
		files[1+i] = output
	}
	return c.start(files, attr)
}
