package approot

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"rkt/internal/linux"
)

// What an app may look at but not touch. All of /sys is read-only already.
// Source: rkt 1.30, path protection.
func readOnlyPaths() []string {
	return []string{
		"/proc/bus",
		"/proc/sys/kernel/core_pattern",
		"/proc/sys/kernel/modprobe",
		"/proc/sys/vm/panic_on_oom",
		"/proc/sysrq-trigger",
	}
}

// What an app may not even look at. Source: the same.
func hiddenPaths() []string {
	return []string{
		"/sys/firmware",
		"/sys/fs",
		"/sys/hypervisor",
		"/sys/module",
		"/sys/power",
		"/proc/config.gz",
		"/proc/kallsyms",
		"/proc/sched_debug",
		"/proc/kcore",
		"/proc/kmem",
		"/proc/mem",
	}
}

// hidden is what shows in place of what is hidden: an empty directory and an
// empty file that nobody may open.
type hidden struct{ dir, file *os.File }

// newHidden makes them on a file system of their own at dir.
func newHidden(dir string) (hidden, error) {
	tmpfs := linux.Filesystem{Type: "tmpfs", Source: "hidden", Options: []string{"mode=755", "size=4k"}, Attrs: pseudo}
	if err := mountAt(tmpfs, dir, nil); err != nil {
		return hidden{}, err
	}
	tree, err := linux.OpenRoot(dir)
	if err != nil {
		return hidden{}, err
	}
	defer tree.Close()
	var h hidden
	if h.dir, err = tree.EnsureDir("dir", 0); err != nil {
		return hidden{}, err
	}
	if h.file, err = tree.EnsureFile("file", 0); err != nil {
		return hidden{}, errors.Join(err, h.dir.Close())
	}
	if err := linux.Restrict(tree.Dir(), linux.ReadOnly); err != nil {
		return hidden{}, errors.Join(err, h.close())
	}
	return h, nil
}

func (h hidden) close() error { return errors.Join(h.dir.Close(), h.file.Close()) }

// protect hides what an app must not see, and closes what it must not change.
// What this kernel doesn't have needs neither.
func (r furnished) protect(h hidden) error {
	for _, path := range readOnlyPaths() {
		err := r.cover(path, func(f *os.File, _ bool) (*os.File, error) { return linux.Bind(f, linux.ReadOnly) })
		if err != nil {
			return err
		}
	}
	for _, path := range hiddenPaths() {
		err := r.cover(path, func(_ *os.File, isDir bool) (*os.File, error) {
			if isDir {
				return linux.Bind(h.dir, linux.ReadOnly)
			}
			return linux.Bind(h.file, linux.ReadOnly)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// cover attaches a mount over the file or directory at path, if there is one.
func (r furnished) cover(path string, with func(f *os.File, isDir bool) (*os.File, error)) error {
	f, err := r.OpenPath(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	mount, err := with(f, st.Mode&unix.S_IFMT == unix.S_IFDIR)
	if err != nil {
		return err
	}
	defer mount.Close()
	return linux.Attach(mount, f)
}
