package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// descriptionFile tells the supervisor what it can't know of an image. Paths
// in it are inside the machine directory.
const descriptionFile = "machine.json"

// description is the content of descriptionFile. What an image has not is
// empty.
type description struct {
	Flavor         string `json:"flavor"`
	Hypervisor     string `json:"hypervisor,omitempty"`
	Arch           string `json:"arch"`
	QEMU           string `json:"qemu,omitempty"`
	LKVM           string `json:"lkvm,omitempty"`
	Data           string `json:"data,omitempty"`
	Kernel         string `json:"kernel,omitempty"`
	KernelVersion  string `json:"kernelVersion,omitempty"`
	SystemdVersion string `json:"systemdVersion,omitempty"`
	// Loader runs Nspawn, which finds its libraries in Libraries; all are in the
	// nspawn directory.
	Loader    string   `json:"loader,omitempty"`
	Nspawn    string   `json:"nspawn,omitempty"`
	Libraries []string `json:"libraries,omitempty"`
	// Mkfs makes scratch disks of other sizes than the image has one of.
	Mkfs *mkfs `json:"mkfs,omitempty"`
}

// mkfs says how the program in the mkfs directory is started on the host. What
// it is to make, and of which size in KiB, follows Args.
type mkfs struct {
	Loader    string   `json:"loader"`
	Libraries []string `json:"libraries"`
	Program   string   `json:"program"`
	Args      []string `json:"args"`
	Env       []string `json:"env"`
}

// addDescription writes the description of what the other steps added.
func addDescription(ctx context.Context, p part) error {
	d := description{Flavor: p.options.flavor, Arch: p.arch.label}
	var err error
	switch d.Flavor {
	case flavorKVM:
		err = d.describeMachine(ctx, p)
	case flavorNspawn:
		libraries := "/usr/lib/" + p.arch.multiarch
		d.Loader, d.Nspawn = p.arch.loader, "/usr/bin/systemd-nspawn"
		d.Libraries = []string{libraries, libraries + "/systemd"}
		d.SystemdVersion, err = systemdVersion(ctx)
	}
	if err != nil {
		return err
	}
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return p.tree.Data(descriptionFile, string(b)+"\n", 0o644)
}

// describeMachine says what a kvm image has in its machine directory.
func (d *description) describeMachine(ctx context.Context, p part) error {
	release, err := os.ReadFile(filepath.Join(p.options.kernel, "release"))
	if err != nil {
		return fmt.Errorf("read kernel release: %w", err)
	}
	d.KernelVersion, d.Hypervisor = strings.TrimSpace(string(release)), p.options.hypervisor
	if d.Hypervisor == hypervisorLKVM {
		d.LKVM, d.Kernel = "/usr/bin/lkvm", "/boot/bzImage"
	} else {
		d.QEMU, d.Data, d.Kernel = "/usr/bin/"+p.arch.qemu, "/usr/share/qemu", "/boot/vmlinux"
	}
	d.Mkfs = &mkfs{
		Loader: p.arch.loader, Libraries: []string{"/usr/lib/" + p.arch.multiarch},
		Program: "/usr/sbin/mke2fs", Args: scratchOptions(), Env: []string{mkfsConfig},
	}
	d.SystemdVersion, err = systemdVersion(ctx)
	return err
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
