package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"rkt/internal/build/tree"
	"rkt/internal/linux"
)

const (
	guestFile       = "guest.img"
	scratchFile     = "scratch.img"
	scratchSizeFile = "scratch.size"
	scratchSize     = 16 << 30
	// diskID is the UUID of both file systems: nobody mounts by it, and a
	// random one would make each build different.
	diskID = "6f6e6520-7374-4c67-a531-20626f6f7473"
)

// addGuestDisk makes the guest's root file system.
func addGuestDisk(ctx context.Context, p part) error {
	root := part{tree: tree.New(), options: p.options, arch: p.arch}
	err := errors.Join(
		root.graft(".", filepath.Join("guest", "guest.recipe")), root.graft(".", filepath.Join("guest", "disk.recipe")))
	if err != nil {
		return err
	}
	dir, image := filepath.Join(p.work, "guest"), filepath.Join(p.work, guestFile)
	if err := root.tree.WriteDir(dir); err != nil {
		return fmt.Errorf("write guest root: %w", err)
	}
	// Not compressed: under emulation, inflating costs more than reading.
	_, err = output(ctx, nil, "mkfs.erofs", "-T0", "-U", diskID, "-x-1", "--all-root", image, dir)
	if err != nil {
		return fmt.Errorf("make guest root: %w", err)
	}
	return p.tree.File(guestFile, image, 0o644)
}

// addScratch makes the empty disk that every pod starts with a sparse copy of.
// It has no journal, since it does not outlive its pod, and its metadata are
// packed together, so that the copy has few blocks.
func addScratch(ctx context.Context, t *tree.Tree, work string) error {
	image := filepath.Join(work, scratchFile)
	args := append(scratchOptions(), image, strconv.Itoa(scratchSize/1024)+"K")
	if _, err := output(ctx, []string{"E2FSPROGS_FAKE_TIME=1", mkfsConfig}, "mke2fs", args...); err != nil {
		return fmt.Errorf("make scratch disk: %w", err)
	}
	if err := cutZeros(image); err != nil {
		return fmt.Errorf("shorten scratch disk: %w", err)
	}
	if err := t.Data(scratchSizeFile, strconv.Itoa(scratchSize)+"\n", 0o644); err != nil {
		return err
	}
	return t.File(scratchFile, image, 0o644)
}

// scratchOptions are mke2fs's for a scratch disk of any size.
func scratchOptions() []string {
	return []string{
		"-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-i", "65536", "-m", "0", "-U", diskID,
		"-O", "none," + scratchFeatures,
		"-E", "num_backup_sb=0,packed_meta_blocks=1,lazy_itable_init=1,root_owner=0:0,hash_seed=" + diskID,
	}
}

// mkfsConfig is a variable of mke2fs's environment: the options say all.
const mkfsConfig = "MKE2FS_CONFIG=/dev/null"

// scratchFeatures are ext4's usual ones without a journal, spelled out so that
// the build host's defaults do not matter.
const scratchFeatures = "ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super2,large_file,huge_file," +
	"dir_nlink,extra_isize,metadata_csum"

// cutZeros cuts a file after its last block that is not zero.
func cutZeros(name string) (err error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	end, err := linux.DataEnd(f)
	if err != nil {
		return err
	}
	return f.Truncate(end)
}

// output runs a program of the host and returns what it wrote. Its complaints
// are part of the error.
func output(ctx context.Context, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), append([]string{"LC_ALL=C"}, env...)...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(name), err, exit.Stderr)
	}
	return string(out), err
}
