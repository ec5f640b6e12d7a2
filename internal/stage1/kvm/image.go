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
	Arch          string `json:"arch"`
	QEMU          string `json:"qemu"`
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
	for _, path := range []string{i.parts.QEMU, i.parts.Kernel} {
		if _, err := os.Stat(filepath.Join(root, machineDir, path)); err != nil {
			return nil, fmt.Errorf("incomplete stage1 image: %w", err)
		}
	}
	return i, nil
}

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
