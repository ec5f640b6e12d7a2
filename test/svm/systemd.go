package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// serviceProgram is this program's name as the service of systemd's that runs the
// command, and its file in /run.
const serviceProgram = "svm-service"

// serviceTask is the file in /run with the task.
const serviceTask = "svm-task.json"

// units are all that systemd starts: what the host would start is of no use here.
func units() map[string]string {
	return map[string]string{
		"svm.target": "[Unit]\nDefaultDependencies=no\nRequires=svm.service\n",
		"svm.service": "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/run/" + serviceProgram +
			"\nStandardOutput=tty\nStandardError=tty\nTTYPath=/dev/console\nTasksMax=infinity\n",
	}
}

// becomeSystemd makes the machine's first program systemd. It returns only if
// that fails.
func becomeSystemd(t task) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	const dir = "/run/systemd/system"
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile("/run/"+serviceTask, text, 0o600)); err != nil {
		return err
	}
	for name, content := range units() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	const program = "/lib/systemd/systemd"
	argv := []string{program, "--unit=svm.target", "--log-target=console", "--log-level=err", "--show-status=no"}
	if t.Systemd == hybrid {
		// It reads the kernel's parameters too, unless the host's files say that they
		// are a container's: then these alone.
		argv = append(argv, "systemd.unified_cgroup_hierarchy=0")
	}
	return fmt.Errorf("execute %s: %w", program, unix.Exec(program, argv, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}))
}

// beService runs the command and ends the machine. It never returns.
func beService() {
	t, err := readTask("/run/" + serviceTask)
	if err == nil {
		err = checkGroups(t)
	}
	end(t, err)
}

// checkGroups makes sure that systemd has mounted the control groups as it was
// told: only beside version 1 does version 2 have a directory of its own.
func checkGroups(t task) error {
	_, err := os.Stat("/sys/fs/cgroup/unified")
	if both := err == nil; both != (t.Systemd == hybrid) {
		return fmt.Errorf("systemd has not mounted the control groups as %s", t.Systemd)
	}
	return nil
}
