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

// To unpacks all entries that r has into the empty directory dir, with owners,
// modes, times and extended attributes, and makes them durable.
func To(dir string, r *archive.Reader) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	x := &extractor{root: root}
	defer func() { err = errors.Join(err, x.leave()) }()
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if e.Manifest {
			continue
		}
		if err := x.entry(e, r); err != nil {
			return fmt.Errorf("entry %q: %w", e.Name, err)
		}
	}
	return x.finish()
}

type extractor struct {
	root *os.Root
	dirs []*archive.Entry // to be described last, the deepest first

	// The directory that the last entry was put in stays open, because most
	// often the next one goes there too.
	dir     *os.Root
	dirName string
}

// enter returns the directory with the given name, which it makes if it is
// missing.
func (x *extractor) enter(name string) (*os.Root, error) {
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

func (x *extractor) leave() error {
	if x.dir == nil {
		return nil
	}
	dir := x.dir
	x.dir = nil
	return dir.Close()
}

func (x *extractor) entry(e *archive.Entry, r io.Reader) error {
	if e.Header.Typeflag == tar.TypeDir {
		x.dirs = append(x.dirs, e)
		return x.root.MkdirAll(e.Name, dirMode)
	}
	dir, err := x.enter(path.Dir(e.Name))
	if err != nil {
		return err
	}
	name := path.Base(e.Name)
	if err = x.make(dir, name, e); errors.Is(err, fs.ErrExist) {
		// Of two entries with one name the later counts.
		if err := dir.Remove(name); err != nil {
			return err
		}
		err = x.make(dir, name, e)
	}
	if err != nil || e.Header.Typeflag != tar.TypeReg {
		return err
	}
	return fill(dir, name, &e.Header, r)
}

// make makes what an entry stands for, empty: fs.ErrExist if there is something
// with its name.
func (x *extractor) make(dir *os.Root, name string, e *archive.Entry) error {
	h := &e.Header
	switch h.Typeflag {
	case tar.TypeReg:
		f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		return f.Close()
	case tar.TypeLink:
		return x.root.Link(h.Linkname, e.Name)
	case tar.TypeSymlink:
		if err := dir.Symlink(h.Linkname, name); err != nil {
			return err
		}
		return dir.Lchown(name, h.Uid, h.Gid)
	default:
		return node(dir, name, h)
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

// finish describes the directories, now that nothing changes in them any more,
// and syncs the file system.
func (x *extractor) finish() error {
	for i := len(x.dirs) - 1; i >= 0; i-- {
		f, err := x.root.Open(x.dirs[i].Name)
		if err != nil {
			return err
		}
		if err := errors.Join(describe(f, &x.dirs[i].Header), f.Close()); err != nil {
			return err
		}
	}
	top, err := x.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(os.NewSyscallError("syncfs", unix.Syncfs(int(top.Fd()))), top.Close())
}
