package linux

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrMountPoint is returned for a directory that would be removed but has
// something mounted on it.
var ErrMountPoint = errors.New("something is mounted here")

// RemoveTree removes the entry name of the open directory parent and, if it is
// a directory, everything below it. It follows no symbolic link and enters no
// mount point: at one it stops with ErrMountPoint, having removed only part of
// the tree. An entry that isn't there is no error.
func RemoveTree(parent *os.File, name string) error {
	path := filepath.Join(parent.Name(), name)
	err := unlinkat(parent, name, 0)
	switch {
	case err == nil, errors.Is(err, unix.ENOENT):
		return nil
	case !errors.Is(err, unix.EISDIR):
		return wrapPath("remove", path, mountOr(err))
	}
	dir, err := openBelow(parent, name)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return wrapPath("remove", path, err)
	}
	if err := errors.Join(removeContents(dir), dir.Close()); err != nil {
		return err
	}
	err = unlinkat(parent, name, unix.AT_REMOVEDIR)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return wrapPath("remove", path, mountOr(err))
}

// removeContents reads the directory until nothing is left in it: removing
// while reading may hide entries from one pass.
func removeContents(dir *os.File) error {
	for {
		names, err := dir.Readdirnames(256)
		for _, name := range names {
			if err := RemoveTree(dir, name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// openBelow opens the directory name of parent, unless that leads across a
// mount point, also one of the same file system.
func openBelow(parent *os.File, name string) (*os.File, error) {
	how := &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_BENEATH,
	}
	for {
		fd, err := unix.Openat2(int(parent.Fd()), name, how)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), filepath.Join(parent.Name(), name)), nil
		case errors.Is(err, unix.EXDEV):
			return nil, ErrMountPoint
		case !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN):
			return nil, err
		}
	}
}

func unlinkat(parent *os.File, name string, flags int) error {
	for {
		err := unix.Unlinkat(int(parent.Fd()), name, flags)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// mountOr names the reason for which removing an entry is "busy".
func mountOr(err error) error {
	if errors.Is(err, unix.EBUSY) {
		return ErrMountPoint
	}
	return err
}
