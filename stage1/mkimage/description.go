package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"rkt/internal/build/tree"
)

// descriptionFile tells the supervisor what it can't know of an image. Paths
// in it are inside the machine directory.
const descriptionFile = "machine.json"

// description is the content of descriptionFile.
type description struct {
	Arch           string `json:"arch"`
	QEMU           string `json:"qemu"`
	Data           string `json:"data"`
	Kernel         string `json:"kernel"`
	KernelVersion  string `json:"kernelVersion"`
	SystemdVersion string `json:"systemdVersion"`
}

// addDescription writes the description of what the other steps added.
func addDescription(ctx context.Context, t *tree.Tree, o buildOptions, a arch) error {
	release, err := os.ReadFile(filepath.Join(o.kernel, "release"))
	if err != nil {
		return fmt.Errorf("read kernel release: %w", err)
	}
	systemd, err := systemdVersion(ctx)
	if err != nil {
		return err
	}
	b, err := json.Marshal(description{
		Arch:           a.label,
		QEMU:           "/usr/bin/" + a.qemu,
		Data:           "/usr/share/qemu",
		Kernel:         "/boot/vmlinux",
		KernelVersion:  strings.TrimSpace(string(release)),
		SystemdVersion: systemd,
	})
	if err != nil {
		return err
	}
	return t.Data(descriptionFile, string(b)+"\n", 0o644)
}

// systemdVersion returns the host's, which is the guest's.
func systemdVersion(ctx context.Context) (string, error) {
	out, err := output(ctx, nil, "/usr/lib/systemd/systemd", "--version")
	if err != nil {
		return "", fmt.Errorf("ask systemd for its version: %w", err)
	}
	words := strings.Fields(out)
	if len(words) < 2 || words[0] != "systemd" {
		return "", fmt.Errorf("systemd says a version of another form: %q", out)
	}
	return words[1], nil
}
