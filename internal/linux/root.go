package linux

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Root is a directory tree whose contents are not to be trusted: symbolic
// links and ".." are resolved as if it were the root of the file system, and
// so never lead out of it. Paths may be absolute or not.
//
// os.Root refuses links that lead out; a Root reads them as the programs do
// that run in it.
type Root struct{ dir *os.File }

// OpenRoot returns the tree at path.
func OpenRoot(path string) (Root, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return Root{}, wrapPath("open", path, err)
	}
	return Root{os.NewFile(uintptr(fd), path)}, nil
}

// RootAt returns the tree that dir is open on. The Root then owns dir.
func RootAt(dir *os.File) Root { return Root{dir} }

// Close lets go of the tree.
func (r Root) Close() error { return r.dir.Close() }

// Dir returns the tree's uppermost directory, which the Root owns.
func (r Root) Dir() *os.File { return r.dir }

// Open opens a file by open(2)'s flags. Links of /proc that lead elsewhere are
// refused.
func (r Root) Open(name string, flags int, mode fs.FileMode) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	if flags&unix.O_CREAT != 0 {
		how.Mode = uint64(mode.Perm())
	}
	for {
		fd, err := unix.Openat2(int(r.dir.Fd()), name, &how)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
			continue // a rename got in between
		}
		if err != nil {
			return nil, wrapPath("open", name, err)
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}

// OpenPath opens a file of any kind to refer to it, not to read it.
func (r Root) OpenPath(name string) (*os.File, error) { return r.Open(name, unix.O_PATH, 0) }

// Stat returns what name is, links followed.
func (r Root) Stat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	f, err := r.OpenPath(name)
	if err != nil {
		return st, err
	}
	defer f.Close()
	return st, wrapPath("stat", name, unix.Fstat(int(f.Fd()), &st))
}

// Readlink returns where a symbolic link leads, as it is written there.
func (r Root) Readlink(name string) (string, error) {
	f, err := r.Open(name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(f.Fd()), "", b)
	if err != nil {
		return "", wrapPath("readlink", name, err)
	}
	return string(b[:n]), nil
}

// EnsureDir opens a directory, making it and those above it if they are
// missing, with the given mode whatever the process's umask is.
func (r Root) EnsureDir(name string, mode fs.FileMode) (*os.File, error) {
	var made string
	for _, element := range strings.Split(path.Clean("/" + name)[1:], "/") {
		parent := made
		made = path.Join(made, element)
		err := r.mkdir(parent, element, mode)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return r.Open(name, unix.O_PATH|unix.O_DIRECTORY, 0)
}

func (r Root) mkdir(parent, name string, mode fs.FileMode) error {
	dir, err := r.Open("./"+parent, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	full := path.Join(parent, name)
	bits := uint32(mode.Perm())
	if mode&fs.ModeSticky != 0 {
		bits |= unix.S_ISVTX
	}
	if err := unix.Mkdirat(int(dir.Fd()), name, bits); err != nil {
		return wrapPath("mkdir", full, err)
	}
	return wrapPath("chmod", full, unix.Fchmodat(int(dir.Fd()), name, bits, 0))
}

// EnsureFile opens a file to refer to it, making an empty one if it is
// missing. Its directory must exist.
func (r Root) EnsureFile(name string, mode fs.FileMode) (*os.File, error) {
	f, err := r.Open(name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW, mode)
	if err == nil {
		f.Close()
	} else if !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return r.OpenPath(name)
}

// MakeDevice makes a character device's node at the top of the tree.
func (r Root) MakeDevice(name string, major, minor uint32, mode fs.FileMode) error {
	fd := int(r.dir.Fd())
	if err := unix.Mknodat(fd, name, unix.S_IFCHR|uint32(mode.Perm()), int(unix.Mkdev(major, minor))); err != nil {
		return wrapPath("mknod", name, err)
	}
	return wrapPath("chmod", name, unix.Fchmodat(fd, name, uint32(mode.Perm()), 0))
}

// Symlink makes a link at the top of the tree.
func (r Root) Symlink(target, name string) error {
	return wrapPath("symlink", name, unix.Symlinkat(target, int(r.dir.Fd()), name))
}
