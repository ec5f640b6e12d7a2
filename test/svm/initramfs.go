package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Files of the initramfs.
const (
	initFile = "init" // this program
	taskFile = "task.json"
)

// earlyModules bring the devices and file systems that the machine needs to
// have a root. The others are read from there.
func earlyModules() []string {
	return []string{"virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay"}
}

// writeInitramfs writes the root that the machine's kernel starts with.
func writeInitramfs(to string, k kernel, t task) (err error) {
	files, err := k.moduleFiles(earlyModules()...)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := &cpio{w: bufio.NewWriter(f)}
	for _, file := range files {
		name := filepath.Base(file)
		t.Modules = append(t.Modules, name)
		if err := w.copy(name, file, 0o644); err != nil {
			return err
		}
	}
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if err := w.copy(initFile, "/proc/self/exe", 0o755); err != nil {
		return err
	}
	w.file(taskFile, text, 0o644)
	return w.close()
}

// cpio writes an archive in the kernel's format for a first root.
// Format: https://docs.kernel.org/driver-api/early-userspace/buffer-format.html.
type cpio struct {
	w       *bufio.Writer
	written int
	inode   int
}

// file adds a regular file. An error shows when the archive is closed.
func (c *cpio) file(name string, data []byte, perm uint32) { c.entry(name, data, 0o100000|perm) }

// copy adds a file of this host.
func (c *cpio) copy(name, from string, perm uint32) error {
	data, err := os.ReadFile(from)
	if err == nil {
		c.file(name, data, perm)
	}
	return err
}

func (c *cpio) entry(name string, data []byte, mode uint32) {
	c.inode++
	c.print("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		c.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	c.print("%s\x00", name)
	c.align()
	c.print("%s", data)
	c.align()
}

func (c *cpio) print(format string, args ...any) {
	n, _ := fmt.Fprintf(c.w, format, args...) // the writer keeps its first error
	c.written += n
}

// align fills up to a multiple of four.
func (c *cpio) align() {
	for c.written%4 != 0 {
		c.print("\x00")
	}
}

func (c *cpio) close() error {
	c.entry("TRAILER!!!", nil, 0)
	return c.w.Flush()
}
