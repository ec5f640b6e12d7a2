package kvm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"rkt/internal/fault"
	"rkt/internal/linux"
)

// mkfsDir is the part of the stage1 image that mkfs is in.
const mkfsDir = "mkfs"

// mkfs makes scratch disks on the host. Paths are inside of mkfsDir.
type mkfs struct {
	Loader    string   `json:"loader"`
	Libraries []string `json:"libraries"`
	Program   string   `json:"program"`
	Args      []string `json:"args"`
	Env       []string `json:"env"`
}

// MakeScratch makes the disk for what apps write, in the working directory: a
// sparse file of a size in bytes, 0 for the image's choice, with an empty file
// system.
func (i *Image) MakeScratch(ctx context.Context, size int64) (_ *os.File, err error) {
	empty, emptySize, err := i.openScratch()
	if err != nil {
		return nil, err
	}
	defer empty.Close()
	f, err := os.OpenFile(scratchFile, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if size == 0 || size == emptySize {
		return f, linux.CopySparse(f, empty, emptySize)
	}
	if err := f.Truncate(size); err != nil {
		return f, err
	}
	return f, i.format(ctx, scratchFile, size)
}

// format puts an empty file system into a file. Nothing of the host's is used
// but the kernel, and no guest has seen the file.
func (i *Image) format(ctx context.Context, path string, size int64) error {
	m := i.parts.Mkfs
	if m == nil {
		return errors.New("this stage1 image can't make one of another size")
	}
	dir := filepath.Join(i.root, mkfsDir)
	var libraries []string
	for _, l := range m.Libraries {
		libraries = append(libraries, filepath.Join(dir, l))
	}
	args := append([]string{
		"--inhibit-cache", "--library-path", strings.Join(libraries, ":"), filepath.Join(dir, m.Program),
	}, m.Args...)
	const kibibyte = 1024
	args = append(args, path, strconv.FormatInt(size/kibibyte, 10)+"K")
	cmd := exec.CommandContext(ctx, filepath.Join(dir, m.Loader), args...)
	cmd.Env = append([]string{}, m.Env...) // nil would pass on that of this program
	fault.Point("run.mkfs.before-start")
	out, err := cmd.CombinedOutput()
	fault.Point("run.mkfs.after-end")
	if err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(m.Program), err, strings.Join(strings.Fields(string(out)), " "))
	}
	return nil
}
