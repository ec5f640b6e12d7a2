package approot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"rkt/internal/linux"
)

// pseudo is how file systems are mounted that hold nothing to execute.
const pseudo = linux.NoSUID | linux.NoDev | linux.NoExec

// furnished is a root that gets its mounts.
type furnished struct{ linux.Root }

// mount mounts a file system at a directory of the app's, made if missing.
func (r furnished) mount(f linux.Filesystem, at string) error {
	mount, err := f.Mount()
	if err != nil {
		return err
	}
	defer mount.Close()
	return r.attach(mount, at)
}

func (r furnished) attach(mount *os.File, at string) error {
	dir, err := r.EnsureDir(at, 0o755)
	if err != nil {
		return err
	}
	defer dir.Close()
	return linux.Attach(mount, dir)
}

func (r furnished) mountProc() error {
	return r.mount(linux.Filesystem{Type: "proc", Source: "proc", Attrs: pseudo}, "/proc")
}

// mountSys shows the machine's devices, but no control groups: the place where
// those belong stays empty.
func (r furnished) mountSys(readOnly bool) error {
	f := linux.Filesystem{Type: "sysfs", Source: "sysfs", Attrs: pseudo}
	mount, err := f.Mount()
	if err != nil {
		return err
	}
	defer mount.Close()
	if readOnly {
		// The mount alone: as an option it would be the whole sysfs's.
		if err := linux.Restrict(mount, linux.ReadOnly); err != nil {
			return err
		}
	}
	return r.attach(mount, "/sys")
}

func (r furnished) mountRun() error {
	tmpfs := linux.Filesystem{Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=755"}, Attrs: linux.NoSUID | linux.NoDev}
	return r.mount(tmpfs, "/run")
}

func (r furnished) ensureTmp() error {
	tmp, err := r.EnsureDir("/tmp", fs.ModeSticky|0o777)
	if err != nil {
		return err
	}
	return tmp.Close()
}

// ttyGroup owns terminals in most images.
const ttyGroup = "5"

// mountDev makes a /dev with what every program may use and nothing else:
// no disk, no port.
func (r furnished) mountDev() error {
	mount, err := devTmpfs(0).Mount()
	if err != nil {
		return err
	}
	dev := linux.RootAt(mount)
	defer dev.Close()
	if err := fillDev(dev); err != nil {
		return fmt.Errorf("make /dev: %w", err)
	}
	if err := r.attach(mount, "/dev"); err != nil {
		return err
	}
	return furnished{dev}.mountBelowDev()
}

// devTmpfs holds a /dev.
func devTmpfs(attrs int) linux.Filesystem {
	return linux.Filesystem{
		Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=755"}, Attrs: attrs | linux.NoSUID | linux.NoExec,
	}
}

// mountBelowDev mounts what belongs into a /dev, of which this is the root.
func (r furnished) mountBelowDev() error {
	below := r
	pts := linux.Filesystem{
		Type: "devpts", Source: "devpts", Attrs: linux.NoSUID | linux.NoExec,
		Options: []string{"newinstance", "ptmxmode=666", "mode=620", "gid=" + ttyGroup},
	}
	if err := below.mount(pts, "/pts"); err != nil {
		return err
	}
	shm := linux.Filesystem{Type: "tmpfs", Source: "shm", Options: []string{"mode=1777"}, Attrs: linux.NoSUID | linux.NoDev}
	if err := below.mount(shm, "/shm"); err != nil {
		return err
	}
	queues := linux.Filesystem{Type: "mqueue", Source: "mqueue", Attrs: pseudo}
	if err := below.mount(queues, "/mqueue"); err != nil && !errors.Is(err, unix.ENODEV) {
		return err
	}
	return nil
}

// fillDev puts devices and links into an empty /dev. The numbers are Linux's
// own, Documentation/admin-guide/devices.txt.
func fillDev(dev linux.Root) error {
	for _, n := range nodes() {
		if err := dev.MakeDevice(n.name, n.major, n.minor, 0o666); err != nil {
			return err
		}
	}
	return linkDev(dev)
}

// node is a device that every program may use.
type node struct {
	name         string
	major, minor uint32
}

func nodes() []node {
	const memory, tty = 1, 5
	return []node{
		{"null", memory, 3},
		{"zero", memory, 5},
		{"full", memory, 7},
		{"random", memory, 8},
		{"urandom", memory, 9},
		{"tty", tty, 0},
	}
}

// linkDev puts the usual links into a /dev.
func linkDev(dev linux.Root) error {
	links := []struct{ name, target string }{
		{"ptmx", "pts/ptmx"},
		{"fd", "/proc/self/fd"},
		{"stdin", "/proc/self/fd/0"},
		{"stdout", "/proc/self/fd/1"},
		{"stderr", "/proc/self/fd/2"},
	}
	for _, l := range links {
		if err := dev.Symlink(l.target, l.name); err != nil {
			return err
		}
	}
	return nil
}

// show lets a file of the machine appear in the app's root, read-only. An
// image may have a link there that leads nowhere; then it is left alone.
func (r furnished) show(f *os.File, at string) error {
	target, err := r.EnsureFile(at, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer target.Close()
	bind, err := linux.Bind(f, linux.ReadOnly)
	if err != nil {
		return err
	}
	defer bind.Close()
	return linux.Attach(bind, target)
}
