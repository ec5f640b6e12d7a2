package kvm

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Files of the stage1 image, relative to its root.
const (
	machineDir    = "machine"      // QEMU's whole root directory
	machineConfig = "machine.json" // see machineParts
	guestImage    = "guest.img"    // the guest's root disk
	scratchImage  = "scratch.img"  // an empty file system, cut after its data
	scratchSize   = "scratch.size" // its full size in bytes
)

// machineParts says where in machineDir the parts of the machine are.
type machineParts struct {
	Hypervisor    string `json:"hypervisor"`
	Arch          string `json:"arch"`
	QEMU          string `json:"qemu"`
	LKVM          string `json:"lkvm"`
	Data          string `json:"data"`
	Kernel        string `json:"kernel"`
	KernelVersion string `json:"kernelVersion"`
	Mkfs          *mkfs  `json:"mkfs"`
}

// Image is an extracted stage1 image.
type Image struct {
	root  string
	parts machineParts
}

// OpenImage opens the stage1 image that the running program came from.
func OpenImage() (*Image, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return openImageAt(filepath.Dir(executable))
}

func openImageAt(root string) (*Image, error) {
	i := &Image{root: root}
	b, err := os.ReadFile(filepath.Join(root, machineConfig))
	if err != nil {
		return nil, fmt.Errorf("incomplete stage1 image: %w", err)
	}
	if err := json.Unmarshal(b, &i.parts); err != nil {
		return nil, fmt.Errorf("stage1 image: %s: %w", machineConfig, err)
	}
	needed := []string{i.parts.Kernel}
	if i.parts.Hypervisor == HypervisorQEMU {
		needed = append(needed, i.parts.QEMU)
	}
	for _, path := range needed {
		if _, err := os.Stat(filepath.Join(root, machineDir, path)); err != nil {
			return nil, fmt.Errorf("incomplete stage1 image: %w", err)
		}
	}
	return i, nil
}

// Names of hypervisors, as an image says which one it is for.
const (
	HypervisorQEMU = "qemu"
	HypervisorLKVM = "lkvm"
)

// Hypervisor names the one that the image is for.
func (i *Image) Hypervisor() string { return i.parts.Hypervisor }

// Machine returns the directory that is the hypervisor's whole root.
func (i *Image) Machine() string { return filepath.Join(i.root, machineDir) }

// LKVM returns where lkvm is below Machine, if the image has it: else it is the
// host's that goes there.
func (i *Image) LKVM() string { return i.parts.LKVM }

// Kernel returns where the guest's kernel is below Machine.
func (i *Image) Kernel() string { return i.parts.Kernel }

// Guest returns the file of the guest's root disk.
func (i *Image) Guest() string { return filepath.Join(i.root, guestImage) }

// openScratch opens the empty scratch disk and returns its full size.
func (i *Image) openScratch() (*os.File, int64, error) {
	f, err := os.Open(filepath.Join(i.root, scratchImage))
	if err != nil {
		return nil, 0, err
	}
	size, err := i.scratchSize()
	if err != nil {
		f.Close()
	}
	return f, size, err
}

func (i *Image) scratchSize() (int64, error) {
	f, err := os.Open(filepath.Join(i.root, scratchSize))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return 0, err
	}
	size, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("stage1 image: %s: %w", scratchSize, err)
	}
	return size, nil
}
