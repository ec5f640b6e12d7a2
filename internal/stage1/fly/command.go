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
	"rkt/internal/stage1/supervisor"
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
	return c, supervisor.WriteEnvironment(string(app.Name), c.environment)
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

// start executes the program in its root, with the descriptors of this one. It
// does not get the pod's lock: if this program is killed the kernel kills the
// app, and what the app has started must not keep the collector from doing so.
func (c *command) start() (*os.Process, error) {
	attr := &syscall.SysProcAttr{
		Chroot:     c.path,
		Credential: &syscall.Credential{Uid: c.uid, Gid: c.gid, Groups: c.groups},
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true,
	}
	// A program that reads from the terminal must be in its foreground.
	if group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP); err == nil && group == unix.Getpgrp() {
		attr.Foreground, attr.Ctty = true, 0
	}
	process, err := os.StartProcess(c.binary, append([]string{c.binary}, c.app.App.Exec[1:]...), &os.ProcAttr{
		Dir: c.directory, Env: c.environment, Sys: attr,
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return nil, c.failed(cmp.Or(approot.ExplainExec(c.root, c.binary), err))
	}
	return process, nil
}
