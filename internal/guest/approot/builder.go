// Package approot makes the root directory that an app sees inside a machine:
// its image with a writable layer on top, and the file systems of the kernel
// with what does not concern the app left out.
//
// The image's contents are not trusted: its links are followed inside it only,
// and mounts are attached to what was opened, not to paths.
//
// A root is some twenty mounts. They are put together in a mount namespace of
// the agent's own and attached to the machine's as one: systemd reads the list
// of all mounts whenever it changes.
package approot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"rkt/internal/linux"
)

// Builder makes roots.
type Builder struct {
	dirs   Dirs
	own    linux.MountNamespace
	hidden hidden
	names  names
	// container says that the kernel is the host's: its file systems are taken
	// as the container has them, closed as they are.
	container bool
	// ownUsers says that the container's ids are not the host's.
	ownUsers bool
	// spare is what the first app gets, made before there is one; nil later.
	spare *kernel
}

// Dirs is where a Builder works. All but Roots are filled in the Builder's own
// namespace only.
type Dirs struct {
	Images  string // for mounts of images
	Roots   string // for complete roots: ROOTS/NAME; mounted already in a machine
	Scratch string // for what apps write
	State   string // for small files of its own
}

// Source is something to mount.
type Source interface {
	// Mount makes a mount that is attached nowhere.
	Mount() (*os.File, error)
}

// HostMount is a mount that the host of a container made.
type HostMount struct{ File *os.File }

// Mount returns the mount, once.
func (m HostMount) Mount() (*os.File, error) { return m.File, nil }

// New returns a Builder, with all done already that needs no knowledge of a pod.
// It can build once Open was called, and show what it has built once OpenRoots was
// called. In a container the kernel is not the
// builder's own.
func New(d Dirs, container bool) (*Builder, error) {
	if err := os.MkdirAll(d.State, 0o700); err != nil {
		return nil, err
	}
	own, err := linux.NewMountNamespace()
	if err != nil {
		return nil, err
	}
	b := &Builder{dirs: d, own: own, container: container}
	if b.ownUsers, err = linux.OwnUsers(); err != nil {
		own.Close()
		return nil, err
	}
	if err := own.Do(b.prepare); err != nil {
		own.Close()
		return nil, err
	}
	return b, nil
}

// prepare makes in the Builder's namespace what all roots share, and what only
// the first one gets.
func (b *Builder) prepare() (err error) {
	if b.hidden, err = newHidden(filepath.Join(b.dirs.State, "hidden")); err != nil || b.container {
		return err
	}
	b.spare, err = b.makeKernel(true)
	return err
}

// Open gives roots a place that they are written to, which must be a file system
// that overlayfs takes, and the names that apps know.
func (b *Builder) Open(scratch Source, n Names) error {
	return b.own.Do(func() (err error) {
		noDevices := func(mount *os.File) error { return linux.Restrict(mount, linux.NoDev) }
		if err := mountAt(scratch, b.dirs.Scratch, noDevices); err != nil {
			return err
		}
		b.names, err = n.write(b.dirs.State)
		return err
	})
}

// OpenRoots makes the place where the machine sees the roots.
func (b *Builder) OpenRoots() error {
	// Private, so that apps which run don't see the roots of those that come.
	if !b.container {
		return makePrivate(b.dirs.Roots)
	}
	roots := linux.Filesystem{Type: "tmpfs", Source: "roots", Options: []string{"mode=755", "size=1m"}, Attrs: pseudo}
	return mountAt(roots, b.dirs.Roots, linux.MakePrivate)
}

// makePrivate does that to what is mounted at a path.
func makePrivate(path string) error {
	mount, err := os.Open(path)
	if err != nil {
		return err
	}
	defer mount.Close()
	return linux.MakePrivate(mount)
}

// Close writes out what apps have written, and leaves the scratch's file
// system clean if nothing uses it any more. Roots must be unmounted before.
func (b *Builder) Close() error {
	defer b.own.Close()
	return b.own.Do(func() error {
		err := errors.Join(b.names.close(), b.hidden.close())
		if b.container {
			// The file system is the host's, and others use it.
			return errors.Join(err, linux.Unmount(b.dirs.Scratch))
		}
		if busy := linux.MakeReadOnly(b.dirs.Scratch); busy != nil {
			return errors.Join(err, busy, syncAt(b.dirs.Scratch))
		}
		return errors.Join(err, linux.Unmount(b.dirs.Scratch))
	})
}

func syncAt(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(linux.SyncFilesystem(f), f.Close())
}

// mountAt mounts a file system at a path of ours, after doing something to it
// if then is not nil.
func mountAt(f Source, path string, then func(*os.File) error) error {
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
	if then == nil {
		return nil
	}
	return then(mount)
}

// Spec is what makes one app's root differ from another's.
type Spec struct {
	Name         string // a single path element
	Image        Source // the image, to be mounted read-only
	Copy         bool   // the image is the app's own: no layer on top takes its writes
	ReadOnly     bool   // the app may not write to its image
	ProtectPaths bool
}

// Root is the root of one app.
type Root struct {
	linux.Root
	Path string // as the machine sees it
}

// Unmount takes the root away. What the app wrote stays on the scratch.
func (r *Root) Unmount() error {
	return errors.Join(r.Close(), linux.Unmount(r.Path))
}

// Unseen is a root that the machine does not see yet.
type Unseen struct {
	linux.Root        // valid until Close
	Path       string // where the machine will see it
}

// Build makes an app's root. On an error nothing of it is left mounted.
func (b *Builder) Build(s Spec) (*Unseen, error) {
	u := &Unseen{Path: filepath.Join(b.dirs.Roots, s.Name)}
	err := b.own.Do(func() error {
		tree, err := b.assemble(s)
		u.Root = linux.RootAt(tree)
		return err
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

// Show mounts the root where the machine sees it. Close takes away one that has not
// been shown.
func (u *Unseen) Show() (*Root, error) {
	path := u.Path
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err
	}
	target, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer target.Close()
	if err := linux.Attach(u.Dir(), target); err != nil {
		return nil, err
	}
	root, err := linux.OpenRoot(path)
	if err != nil {
		return nil, errors.Join(err, linux.Unmount(path))
	}
	return &Root{Root: root, Path: path}, nil
}

// assemble makes a root in the Builder's namespace and returns a copy of it
// that is attached nowhere. It leaves nothing mounted.
func (b *Builder) assemble(s Spec) (_ *os.File, err error) {
	root := filepath.Join(b.dirs.Images, s.Name+".root")
	if s.Copy {
		noDevices := func(mount *os.File) error { return linux.Restrict(mount, linux.NoDev) }
		if err := mountAt(s.Image, root, noDevices); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrImage, err)
		}
	} else {
		image := filepath.Join(b.dirs.Images, s.Name)
		closed := func(mount *os.File) error { return linux.Restrict(mount, linux.ReadOnly|linux.NoDev) }
		if err := mountAt(s.Image, image, closed); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrImage, err)
		}
		defer func() { err = errors.Join(err, linux.Unmount(image)) }()
		if err := mountAt(b.layers(image, s.Name), root, nil); err != nil {
			return nil, err
		}
	}
	defer func() { err = errors.Join(err, linux.Unmount(root)) }()
	tree, err := linux.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	if err := b.furnish(furnished{tree}, s); err != nil {
		return nil, err
	}
	return linux.CopyTree(tree.Dir())
}

// furnish mounts everything in a root that is not the app's own.
func (b *Builder) furnish(r furnished, s Spec) error {
	steps := []func() error{
		func() error { return b.showKernel(r, s.ProtectPaths) },
		r.mountRun,
		r.ensureTmp,
		func() error { return r.placeNames(b.names) },
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
