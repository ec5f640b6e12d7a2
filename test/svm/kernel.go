package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// kernel is an installed kernel of the distribution.
type kernel struct {
	image   string // compressed, as boot loaders take it
	modules string // directory of its modules
}

// findKernel returns the newest kernel that is installed with its modules.
func findKernel() (kernel, error) {
	images, err := filepath.Glob("/boot/vmlinuz-*-amd64")
	if err != nil {
		return kernel{}, err
	}
	var newest kernel
	for _, image := range images { // in order
		release := strings.TrimPrefix(filepath.Base(image), "vmlinuz-")
		modules := filepath.Join("/lib/modules", release)
		if _, err := os.Stat(filepath.Join(modules, "modules.dep")); err == nil {
			newest = kernel{image, modules}
		}
	}
	if newest.image == "" {
		return newest, errors.New("no kernel below /boot: install the package linux-image-amd64")
	}
	return newest, nil
}

// Where a bzImage says what is in it.
// Format: https://docs.kernel.org/arch/x86/boot.html, "The Real-Mode Kernel Header".
const (
	headerSize      = 0x264
	atSetupSectors  = 0x1f1
	atMagic         = 0x202
	atPayloadOffset = 0x248
	atPayloadLength = 0x24c
	sectorSize      = 512
)

// extract writes the kernel as an ELF file: a machine that is entered through
// PVH need not decompress it by emulated instructions.
func (k kernel) extract(ctx context.Context, to string) (err error) {
	f, err := os.Open(k.image)
	if err != nil {
		return err
	}
	defer f.Close()
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(f, header); err != nil {
		return err
	}
	if string(header[atMagic:atMagic+4]) != "HdrS" {
		return errors.New("it is no bzImage")
	}
	number := func(at int) int64 { return int64(binary.LittleEndian.Uint32(header[at:])) }
	start := (int64(header[atSetupSectors])+1)*sectorSize + number(atPayloadOffset)
	// The last four bytes are the length of what comes out.
	payload := io.NewSectionReader(f, start, number(atPayloadLength)-4)
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	xz := exec.CommandContext(ctx, "xz", "--decompress", "--stdout")
	xz.Stdin, xz.Stdout, xz.Stderr = payload, out, os.Stderr
	if err := xz.Run(); err != nil {
		return fmt.Errorf("xz: %w", err)
	}
	return nil
}

// moduleFiles returns the files of the named modules and of all that they need,
// each after what it needs.
// Format: modules.dep(5).
func (k kernel) moduleFiles(names ...string) ([]string, error) {
	b, err := os.ReadFile(filepath.Join(k.modules, "modules.dep"))
	if err != nil {
		return nil, err
	}
	needs := make(map[string][]string)
	for line := range strings.Lines(string(b)) {
		file, others, _ := strings.Cut(line, ":")
		name := strings.TrimSuffix(filepath.Base(file), ".ko")
		needs[name] = append([]string{file}, strings.Fields(others)...)
	}
	var files []string
	seen := make(map[string]bool)
	for _, name := range names {
		if len(needs[name]) == 0 {
			return nil, fmt.Errorf("%s has no module %s", k.modules, name)
		}
		all := needs[name]
		for i := len(all) - 1; i >= 0; i-- { // what is needed most comes last
			if !seen[all[i]] {
				seen[all[i]] = true
				files = append(files, filepath.Join(k.modules, all[i]))
			}
		}
	}
	return files, nil
}
