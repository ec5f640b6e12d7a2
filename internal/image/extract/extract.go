// Package extract unpacks an image archive into a directory.
//
// It is for images whose programs the host itself must start. Two things keep
// an archive inside the directory: the reader hands out nothing that leads out
// of it, and every path is resolved below an open root.
package extract

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"rkt/internal/image/archive"
	"rkt/internal/image/sparse"
)

// Version changes whenever the same archive would give another tree than
// before.
const Version = "tree-1"

const (
	dirMode    = 0o755
	bufferSize = 64 << 10
)

// Extractor unpacks entries into a directory, with owners, modes, times and
// extended attributes.
type Extractor struct {
	root *os.Root
	dirs []described // to be described last, the deepest first

	// The directory that the last entry was put in stays open, because most
	// often the next one goes there too.
	dir     *os.Root
	dirName string
}

// described is a directory and what its entry says about it.
type described struct {
	name   string
	header *tar.Header
}

// New returns one that unpacks into the empty directory dir.
func New(dir string) (*Extractor, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Extractor{root: root}, nil
}

// Close ends the use of the directory.
func (x *Extractor) Close() error { return errors.Join(x.leave(), x.root.Close()) }

// Add unpacks one entry: its clean path, its header as archive.Entry promises
// it, and its data. Of two entries with one name the later counts.
func (x *Extractor) Add(name string, h *tar.Header, r io.Reader) error {
	if err := x.add(name, h, r); err != nil {
		return fmt.Errorf("entry %q: %w", name, err)
	}
	return nil
}

// enter returns the directory with the given name, which it makes if it is
// missing.
func (x *Extractor) enter(name string) (*os.Root, error) {
	if x.dir != nil && x.dirName == name {
		return x.dir, nil
	}
	if err := x.leave(); err != nil {
		return nil, err
	}
	if err := x.root.MkdirAll(name, dirMode); err != nil {
		return nil, err
	}
	dir, err := x.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	x.dir, x.dirName = dir, name
	return dir, nil
}

func (x *Extractor) leave() error {
	if x.dir == nil {
		return nil
	}
	dir := x.dir
	x.dir = nil
	return dir.Close()
}

func (x *Extractor) add(name string, h *tar.Header, r io.Reader) error {
	if h.Typeflag == tar.TypeDir {
		x.dirs = append(x.dirs, described{name, h})
		return x.root.MkdirAll(name, dirMode)
	}
	dir, err := x.enter(path.Dir(name))
	if err != nil {
		return err
	}
	base := path.Base(name)
	if err = x.make(dir, name, h); errors.Is(err, fs.ErrExist) {
		if err := dir.Remove(base); err != nil {
			return err
		}
		err = x.make(dir, name, h)
	}
	if err != nil || h.Typeflag != tar.TypeReg {
		return err
	}
	return fill(dir, base, h, r)
}

// make makes what an entry stands for, empty, in the directory that it belongs
// to: fs.ErrExist if there is something with its name.
func (x *Extractor) make(dir *os.Root, name string, h *tar.Header) error {
	base := path.Base(name)
	switch h.Typeflag {
	case tar.TypeReg:
		f, err := dir.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		return f.Close()
	case tar.TypeLink:
		return x.root.Link(h.Linkname, name)
	case tar.TypeSymlink:
		if err := dir.Symlink(h.Linkname, base); err != nil {
			return err
		}
		return dir.Lchown(base, h.Uid, h.Gid)
	default:
		return node(dir, base, h)
	}
}

// fill writes a file's data and describes it.
func fill(dir *os.Root, name string, h *tar.Header, r io.Reader) (err error) {
	f, err := dir.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// Holes are found in whole blocks only, so the writes must be aligned.
	out := sparse.NewFile(f)
	aligned := bufio.NewWriterSize(out, bufferSize)
	if _, err := io.Copy(aligned, r); err != nil {
		return err
	}
	if err := aligned.Flush(); err != nil {
		return err
	}
	if err := out.Finish(); err != nil {
		return err
	}
	return describe(f, h)
}

// describe gives an open file what its header says.
func describe(f *os.File, h *tar.Header) error {
	fd := int(f.Fd())
	if err := f.Chown(h.Uid, h.Gid); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, uint32(h.Mode)); err != nil { //nolint:gosec // permission bits
		return err
	}
	for name, value := range archive.Xattrs(h) {
		if strings.HasPrefix(name, "trusted.overlay.") {
			continue // an order to an overlay of the host, not data
		}
		err := unix.Fsetxattr(fd, name, []byte(value), 0)
		if err != nil && !errors.Is(err, unix.ENOTSUP) {
			return fmt.Errorf("set attribute %s: %w", name, err)
		}
	}
	times := []unix.Timeval{unix.NsecToTimeval(h.ModTime.UnixNano()), unix.NsecToTimeval(h.ModTime.UnixNano())}
	return unix.Futimes(fd, times)
}

// node makes a device or a named pipe.
func node(dir *os.Root, name string, h *tar.Header) error {
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	kind := map[byte]uint32{tar.TypeChar: unix.S_IFCHR, tar.TypeBlock: unix.S_IFBLK, tar.TypeFifo: unix.S_IFIFO}[h.Typeflag]
	mode := uint32(h.Mode)                                       //nolint:gosec // permission bits
	device := unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor)) //nolint:gosec // the reader has checked the range
	if err := unix.Mknodat(int(f.Fd()), name, kind|mode, int(device)); err != nil {
		return os.NewSyscallError("mknod", err)
	}
	if err := dir.Lchown(name, h.Uid, h.Gid); err != nil {
		return err
	}
	return dir.Chmod(name, os.FileMode(h.Mode).Perm()) //nolint:gosec // permission bits
}

// Finish describes the directories, now that nothing changes in them any more,
// and makes everything durable.
func (x *Extractor) Finish() error {
	if err := x.leave(); err != nil {
		return err
	}
	for i := len(x.dirs) - 1; i >= 0; i-- {
		f, err := x.root.Open(x.dirs[i].name)
		if err != nil {
			return err
		}
		if err := errors.Join(describe(f, x.dirs[i].header), f.Close()); err != nil {
			return err
		}
	}
	top, err := x.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(os.NewSyscallError("syncfs", unix.Syncfs(int(top.Fd()))), top.Close())
}
