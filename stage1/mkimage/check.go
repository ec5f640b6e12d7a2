package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// bootTimeout is many times what a boot takes on a slow machine.
const bootTimeout = 2 * time.Minute

// checked is an image that was unpacked to be looked at.
type checked struct {
	root        string
	description description
	arch        arch
	console     io.Writer // gets what machines write, nil if nobody wants it
}

// check proves that an image is complete: what is in it runs in a root that
// holds nothing else, without a privilege.
func check(ctx context.Context, image string, console bool) (err error) {
	work, err := os.MkdirTemp("", "mkimage-check-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if _, err := output(ctx, nil, "tar", "-C", work, "--no-same-owner", "-xzf", image); err != nil {
		return fmt.Errorf("unpack image: %w", err)
	}
	// The jail's user walks through it.
	if err := os.Chmod(work, 0o755); err != nil { //nolint:gosec // an image is no secret
		return err
	}
	c := checked{root: filepath.Join(work, "rootfs")}
	if console {
		c.console = os.Stderr
	}
	if c.description, err = readDescription(c.root); err != nil {
		return err
	}
	if c.arch, err = findArch(c.description.Arch); err != nil {
		return err
	}
	f, err := flavorOf(c.description)
	if err != nil {
		return err
	}
	return errors.Join(c.program(ctx), f.check(ctx, c))
}

// program executes the program behind the entry points, which must know that it
// was not started by rkt.
func (c checked) program(ctx context.Context) error {
	const ownError = 254
	out, err := jailed(ctx, c.root, "/"+programName).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != ownError {
		return fmt.Errorf("program %s: %w: %s", programName, err, out)
	}
	return nil
}

// checkQEMU has the programs find their libraries, and boots the guest on each
// kind of machine until the agent answers.
func checkQEMU(ctx context.Context, c checked) error {
	d := c.description
	// Virtiofsd itself wants /proc before it says a word.
	err := errors.Join(
		checkLoads(ctx, filepath.Join(c.root, "virtiofsd"), c.arch.loader, "/usr/bin/virtiofsd"),
		checkLoads(ctx, filepath.Join(c.root, "mkfs"), d.Mkfs.Loader, d.Mkfs.Program))
	if err != nil {
		return err
	}
	for _, m := range c.arch.machines {
		b := boot{root: c.root, description: d, arch: c.arch, machine: m, console: c.console}
		guest, took, err := b.run(ctx)
		if err != nil {
			return fmt.Errorf("boot on %s: %w", m.name, err)
		}
		if guest.Kernel != d.KernelVersion || !strings.HasPrefix(guest.Systemd, d.SystemdVersion) {
			return fmt.Errorf("boot on %s: the guest has kernel %q and systemd %q, not %q and %q",
				m.name, guest.Kernel, guest.Systemd, d.KernelVersion, d.SystemdVersion)
		}
		fmt.Printf("mkimage: kernel %s, systemd %s, agent answered after %.2f s on %s\n",
			guest.Kernel, guest.Systemd, took.Seconds(), m.name)
	}
	return nil
}

// checkLKVM looks at the files, since lkvm can't do without hardware
// virtualization: the guest in them is the one that QEMU boots.
func checkLKVM(ctx context.Context, c checked) error {
	if err := checkLoads(ctx, filepath.Join(c.root, "mkfs"), c.description.Mkfs.Loader, c.description.Mkfs.Program); err != nil {
		return err
	}
	machine := filepath.Join(c.root, "machine")
	for _, file := range []string{filepath.Join(machine, c.description.Kernel), filepath.Join(c.root, guestFile)} {
		if _, err := os.Stat(file); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(machine, c.description.LKVM)); errors.Is(err, os.ErrNotExist) {
		fmt.Println("mkimage: no lkvm in the image: it will take the host's")
		return nil
	}
	return checkLoads(ctx, machine, c.arch.loader, c.description.LKVM)
}

// checkNspawn runs the container's launcher and its first program as far as
// they go without privileges.
func checkNspawn(ctx context.Context, c checked) error {
	d := c.description
	programs := []struct {
		root string
		args []string
	}{
		{"nspawn", []string{d.Loader, "--inhibit-cache", "--library-path", strings.Join(d.Libraries, ":"), d.Nspawn, "--version"}},
		{"guest", []string{"/usr/lib/systemd/systemd", "--version"}},
	}
	for _, p := range programs {
		out, err := jailed(ctx, filepath.Join(c.root, p.root), p.args[0], p.args[1:]...).Output()
		if err != nil {
			return fmt.Errorf("ask %s for its version: %w", p.root, err)
		}
		if !strings.HasPrefix(string(out), "systemd "+d.SystemdVersion) {
			return fmt.Errorf("ask %s for its version: it says %q", p.root, out)
		}
	}
	return checkLoads(ctx, filepath.Join(c.root, "guest"), c.arch.loader, "/usr/lib/systemd/systemd-shutdown")
}

// checkFly has nothing to look at but the entry points.
func checkFly(context.Context, checked) error { return nil }

// readDescription reads what the image says about itself.
func readDescription(root string) (description, error) {
	var d description
	b, err := os.ReadFile(filepath.Join(root, descriptionFile))
	if err != nil {
		return d, err
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return d, fmt.Errorf("read %s: %w", descriptionFile, err)
	}
	return d, nil
}

// checkLoads has the image's own loader find everything that a program needs.
func checkLoads(ctx context.Context, root, loader, program string) error {
	out, err := jailed(ctx, root, loader, "--list", program).CombinedOutput()
	if err != nil {
		return fmt.Errorf("load %s: %w: %s", program, err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "not found") {
			return fmt.Errorf("load %s: %s", program, strings.TrimSpace(line))
		}
	}
	return nil
}
