package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Where the guest's programs are in its root.
const (
	guestBusybox = "/usr/bin/busybox"
	guestScript  = "/usr/bin/bench"
	guestSystemd = "/usr/lib/systemd/systemd"
)

// machineID is that of a plain machine.
const machineID = "00000000000040008000000000000001"

// plain are the machines that a pod is compared with.
type plain struct {
	systemd machine // the pod's guest root with one service instead of the agent
	static  machine // nothing but one static program
	idle    machine // like systemd, but the service stays
}

// newPlain makes their disks.
func newPlain(ctx context.Context, w *workspace, c commandLine) (*plain, error) {
	static, err := c.withInit(guestScript)
	if err != nil {
		return nil, err
	}
	// What a pod's kernel executes starts the agent before that.
	if c, err = c.withInit(guestSystemd); err != nil {
		return nil, err
	}
	p := &plain{
		systemd: machine{w.machineDir(), c, w.path("systemd.img")},
		static:  machine{w.machineDir(), static, w.path("static.img")},
		idle:    machine{w.machineDir(), c, w.path("idle.img")},
	}
	root := w.path("guest")
	if _, err := tool(ctx, "fsck.erofs", "--extract="+root, w.guestImage()); err != nil {
		return nil, err
	}
	if err := addService(root, w.busybox); err != nil {
		return nil, err
	}
	if err := makeDisk(ctx, p.systemd.disk, root, reportScript()); err != nil {
		return nil, err
	}
	if err := makeDisk(ctx, p.idle.disk, root, idleScript()); err != nil {
		return nil, err
	}
	small := w.path("static")
	for _, dir := range []string{"dev", "proc", "sys"} {
		if err := os.MkdirAll(filepath.Join(small, dir), 0o755); err != nil {
			return nil, err
		}
	}
	if err := copyFile(filepath.Join(small, guestBusybox), w.busybox); err != nil {
		return nil, err
	}
	return p, makeDisk(ctx, p.static.disk, small, reportScript())
}

// candidates returns the machines whose time is taken.
func (p *plain) candidates() []candidate {
	return []candidate{
		{name: nameSystemd, run: p.systemd.run},
		{name: nameStatic, run: p.static.run},
	}
}

// measureIdle measures the memory of a machine whose service does nothing.
func (p *plain) measureIdle(ctx context.Context) (_ footprint, err error) {
	ctx, cancel := context.WithCancel(ctx)
	memory, err := p.idle.args.memoryBytes()
	if err != nil {
		cancel()
		return footprint{}, err
	}
	s, err := p.idle.start(ctx)
	if err != nil {
		cancel()
		return footprint{}, err
	}
	defer func() {
		cancel() // kills it
		_, _ = s.finish()
		s.close()
	}()
	if err := s.await(ctx); err != nil {
		return footprint{}, err
	}
	return measureFootprint(nameSystemd, s.cmd.Process.Pid, memory)
}

// addService makes the guest start one script and nothing else.
func addService(root, busybox string) error {
	const units = "usr/lib/systemd/system/"
	for name, content := range map[string]string{
		units + "default.target": "[Unit]\nDefaultDependencies=no\nRequires=bench.service\nAfter=bench.service\n",
		units + "bench.service":  "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=" + guestScript + "\n",
		// A pod's first program makes one. Without one systemd would have to.
		"etc/machine-id": machineID + "\n",
	} {
		path := filepath.Join(root, name)
		// It may be a link to another one.
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return copyFile(filepath.Join(root, guestBusybox), busybox)
}

// script returns what a guest runs: the console is the machine's serial port.
func script(lines ...string) string {
	return fmt.Sprintf("#!%s sh\n%s\n", guestBusybox, strings.Join(lines, "\n"))
}

// reportScript says the line and ends the machine.
func reportScript() string {
	return script("echo "+marker+" >/dev/console", "exec "+guestBusybox+" reboot -f")
}

// idleScript lets everything settle before it says the line, and stays.
func idleScript() string {
	return script(
		guestBusybox+" sleep "+settleSeconds,
		"echo "+marker+" >/dev/console",
		"exec "+guestBusybox+" sleep 1000",
	)
}

// makeDisk makes a disk of the directory root with the given script.
func makeDisk(ctx context.Context, disk, root, script string) error {
	if err := os.WriteFile(filepath.Join(root, guestScript), []byte(script), 0o755); err != nil {
		return err
	}
	// As the guest's own disk is made.
	_, err := tool(ctx, "mkfs.erofs", "-T0", "-x-1", "--all-root", disk, root)
	return err
}

// copyFile copies a program.
func copyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}
