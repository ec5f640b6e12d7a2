package approot

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"rkt/internal/linux"
)

// In a container, new mounts of the kernel's file systems would be open where
// those that the container was given are closed: /proc/sys is the host's.

// copyProc shows the container's processes, with what covers parts of /proc.
func (r furnished) copyProc() error { return r.copyOf("/proc") }

// copySys shows the container's /sys, which is read-only.
func (r furnished) copySys() error { return r.copyOf("/sys") }

func (r furnished) copyOf(path string) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	tree, err := linux.CopyTree(from)
	if err != nil {
		return err
	}
	defer tree.Close()
	return r.attach(tree, path)
}

// copyDev makes a /dev in which no device can be made: those that every program
// may use are mounts of the container's. Nothing else that an app can write to
// lets it open devices, so it needs no rule of a control group, which the host
// may not have.
func (r furnished) copyDev() error {
	mount, err := devTmpfs(linux.NoDev).Mount()
	if err != nil {
		return err
	}
	dev := linux.RootAt(mount)
	defer dev.Close()
	if err := r.attach(mount, "/dev"); err != nil {
		return err
	}
	for _, n := range nodes() {
		if err := showDevice(dev, n.name); err != nil {
			return fmt.Errorf("make /dev: %w", err)
		}
	}
	if err := linkDev(dev); err != nil {
		return fmt.Errorf("make /dev: %w", err)
	}
	return furnished{dev}.mountBelowDev()
}

func showDevice(dev linux.Root, name string) error {
	from, err := os.OpenFile("/dev/"+name, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := dev.EnsureFile(name, 0o666)
	if err != nil {
		return err
	}
	defer to.Close()
	bind, err := linux.Bind(from, linux.NoSUID|linux.NoExec)
	if err != nil {
		return err
	}
	defer bind.Close()
	return linux.Attach(bind, to)
}
