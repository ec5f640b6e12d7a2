package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// bootTimeout is many times what a boot takes on a slow machine.
const bootTimeout = 2 * time.Minute

// check proves that an image is complete: in a root that holds
// nothing else and without a privilege, its programs find their libraries, and
// QEMU boots the guest on each kind of machine until the agent answers.
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
	root := filepath.Join(work, "rootfs")
	d, err := readDescription(root)
	if err != nil {
		return err
	}
	a, err := findArch(d.Arch)
	if err != nil {
		return err
	}
	// Virtiofsd itself wants /proc before it says a word.
	if err := checkLoads(ctx, filepath.Join(root, "virtiofsd"), a.loader, "/usr/bin/virtiofsd"); err != nil {
		return err
	}
	for _, m := range a.machines {
		b := boot{root: root, description: d, arch: a, machine: m}
		if console {
			b.console = os.Stderr
		}
		info, took, err := b.run(ctx)
		if err != nil {
			return fmt.Errorf("boot on %s: %w", m.name, err)
		}
		if info.Kernel != d.KernelVersion || !strings.HasPrefix(info.Systemd, d.SystemdVersion) {
			return fmt.Errorf("boot on %s: the guest has kernel %q and systemd %q, not %q and %q",
				m.name, info.Kernel, info.Systemd, d.KernelVersion, d.SystemdVersion)
		}
		fmt.Printf("mkimage: kernel %s, systemd %s, agent answered after %.2f s on %s\n",
			info.Kernel, info.Systemd, took.Seconds(), m.name)
	}
	return nil
}

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
