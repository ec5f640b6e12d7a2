// Package approot makes the root directory that an app sees inside a machine:
// its image with a writable layer on top, and the file systems of the kernel
// with what does not concern the app left out.
//
// The image's contents are not trusted: its links are followed inside it only,
// and mounts are attached to what was opened, not to paths.
package approot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rkt/internal/linux"
)

// Builder makes roots. The directories are its own.
type Builder struct {
	dirs   Dirs
	hidden hidden
	hosts  *os.File // shown as /etc/hosts to apps that have none
}

// Dirs is where a Builder works.
type Dirs struct {
	Images  string // for mounts of images
	Roots   string // for complete roots: ROOTS/NAME/rootfs
	Scratch string // for what apps write; must be on a file system that overlayfs takes
	State   string // for small files of its own
}

// New returns a Builder. Hosts is the text of /etc/hosts for images without.
func New(d Dirs, hosts string) (*Builder, error) {
	for _, dir := range []string{d.Images, d.Scratch, d.State} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	b := &Builder{dirs: d}
	// The machine's own root can't be written.
	roots := linux.Filesystem{Type: "tmpfs", Source: "roots", Options: []string{"mode=755", "size=1m"}, Attrs: pseudo}
	if err := (&Root{}).mountAt(roots, d.Roots); err != nil {
		return nil, err
	}
	name := filepath.Join(d.State, "hosts")
	if err := os.WriteFile(name, []byte(hosts), 0o644); err != nil {
		return nil, err
	}
	var err error
	if b.hosts, err = os.Open(name); err != nil {
		return nil, err
	}
	if b.hidden, err = newHidden(filepath.Join(d.State, "hidden")); err != nil {
		return nil, errors.Join(err, b.hosts.Close())
	}
	return b, nil
}

// Close lets go of what the Builder holds. Roots stay.
func (b *Builder) Close() error {
	return errors.Join(b.hosts.Close(), b.hidden.close(),
		linux.Unmount(filepath.Join(b.dirs.State, "hidden")), linux.Unmount(b.dirs.Roots))
}

// Spec is what makes one app's root differ from another's.
type Spec struct {
	Name         string           // a single path element
	Image        linux.Filesystem // the image, to be mounted read-only
	ReadOnly     bool             // the app may not write to its image
	ProtectPaths bool
}

// Root is the root of one app.
type Root struct {
	linux.Root
	Path string // as the machine sees it

	mounts []string // in the order in which they were attached
}

// Build makes an app's root. On an error nothing of it is left mounted.
func (b *Builder) Build(s Spec) (*Root, error) {
	r := &Root{Path: filepath.Join(b.dirs.Roots, s.Name, "rootfs")}
	if err := b.build(r, s); err != nil {
		return nil, errors.Join(err, r.Unmount())
	}
	return r, nil
}

func (b *Builder) build(r *Root, s Spec) error {
	if err := b.overlay(r, s); err != nil {
		return err
	}
	var err error
	if r.Root, err = linux.OpenRoot(r.Path); err != nil {
		return err
	}
	steps := []func() error{
		r.mountProc, func() error { return r.mountSys(s.ProtectPaths) }, r.mountDev, r.mountRun, r.ensureTmp,
		func() error { return r.placeNames(b.hosts) },
	}
	if s.ProtectPaths {
		steps = append(steps, func() error { return r.protect(b.hidden) })
	}
	if s.ReadOnly {
		steps = append(steps, func() error { return linux.Restrict(r.Dir(), linux.ReadOnly) })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// Unmount takes the root apart. What the app wrote stays on the scratch.
func (r *Root) Unmount() error {
	var failed []error
	if r.Dir() != nil {
		failed = append(failed, r.Close())
	}
	for i := len(r.mounts) - 1; i >= 0; i-- {
		failed = append(failed, linux.Unmount(r.mounts[i]))
	}
	r.mounts = nil
	return errors.Join(failed...)
}

// ErrImage means that an image can't be mounted.
var ErrImage = errors.New("mount image")

// overlay mounts the image with a writable layer on top. Device nodes of
// either don't work: those an app may use are in /dev.
func (b *Builder) overlay(r *Root, s Spec) error {
	image := filepath.Join(b.dirs.Images, s.Name)
	s.Image.Attrs |= linux.ReadOnly | linux.NoDev
	if err := r.mountAt(s.Image, image); err != nil {
		return fmt.Errorf("%w: %w", ErrImage, err)
	}
	upper, work := filepath.Join(b.dirs.Scratch, s.Name, "upper"), filepath.Join(b.dirs.Scratch, s.Name, "work")
	for _, dir := range []string{upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := copyOwner(image, upper); err != nil {
		return err
	}
	if err := hideLostAndFound(image, upper); err != nil {
		return err
	}
	layers := linux.Filesystem{
		Type:    "overlay",
		Source:  "overlay",
		Options: []string{"lowerdir=" + image, "upperdir=" + upper, "workdir=" + work},
		Attrs:   linux.NoDev,
	}
	return r.mountAt(layers, r.Path)
}

// hideLostAndFound hides the directory that a file system has for its own
// repair, and that its image knows nothing of, if it is empty.
func hideLostAndFound(image, upper string) error {
	const name = "lost+found"
	entries, err := os.ReadDir(filepath.Join(image, name))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || len(entries) > 0 {
		return nil
	}
	if err != nil {
		return err
	}
	// overlayfs takes this device for "there is no such file".
	err = unix.Mknod(filepath.Join(upper, name), unix.S_IFCHR, 0)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("hide %s: %w", name, err)
	}
	return nil
}

// copyOwner gives the upper layer's root, which is what shows, the owner and
// mode of the image's.
func copyOwner(from, to string) error {
	var st unix.Stat_t
	if err := unix.Lstat(from, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: from, Err: err}
	}
	if err := os.Chown(to, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := unix.Chmod(to, st.Mode&0o7777); err != nil {
		return &fs.PathError{Op: "chmod", Path: to, Err: err}
	}
	return nil
}

// mountAt mounts a file system at a path of ours.
func (r *Root) mountAt(f linux.Filesystem, path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	target, err := os.Open(path)
	if err != nil {
		return err
	}
	defer target.Close()
	mount, err := f.Mount()
	if err != nil {
		return err
	}
	defer mount.Close()
	if err := linux.Attach(mount, target); err != nil {
		return err
	}
	r.mounts = append(r.mounts, path)
	return nil
}
