package extract

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// ErrDifferent means that a directory does not hold what it should.
var ErrDifferent = errors.New("the tree was changed")

// Comparer looks whether a directory holds what an Extractor would put there.
// Times and extended attributes are not compared, and names that occur more
// than once are not for it.
type Comparer struct {
	root *os.Root
	seen map[string]bool // and the directories on the way
}

// NewComparer returns one for the directory dir.
func NewComparer(dir string) (*Comparer, error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrDifferent, err)
	}
	if err != nil {
		return nil, err
	}
	return &Comparer{root: root, seen: make(map[string]bool)}, nil
}

// Close ends the use of the directory.
func (c *Comparer) Close() error { return c.root.Close() }

// Add compares one entry: ErrDifferent.
func (c *Comparer) Add(name string, h *tar.Header, r io.Reader) error {
	for dir := name; !c.seen[dir]; dir = path.Dir(dir) {
		c.seen[dir] = true
	}
	var st unix.Stat_t
	err := c.stat(name, &st)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %q is missing", ErrDifferent, name)
	}
	if err != nil {
		return err
	}
	if what := differs(&st, h); what != "" {
		return fmt.Errorf("%w: %s of %q", ErrDifferent, what, name)
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return c.content(name, r)
	case tar.TypeSymlink:
		target, err := c.root.Readlink(name)
		if err == nil && target != h.Linkname {
			err = fmt.Errorf("%w: the target of %q", ErrDifferent, name)
		}
		return err
	case tar.TypeLink:
		return c.link(name, h.Linkname)
	}
	return nil
}

// stat looks at a name without following it.
func (c *Comparer) stat(name string, st *unix.Stat_t) error {
	dir, err := c.root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	return os.NewSyscallError("fstatat", unix.Fstatat(int(dir.Fd()), path.Base(name), st, unix.AT_SYMLINK_NOFOLLOW))
}

// differs names what of a file is not as its header says.
func differs(st *unix.Stat_t, h *tar.Header) string {
	if h.Typeflag == tar.TypeLink {
		return "" // it is what its target is
	}
	kinds := map[byte]uint32{
		tar.TypeReg: unix.S_IFREG, tar.TypeDir: unix.S_IFDIR, tar.TypeSymlink: unix.S_IFLNK,
		tar.TypeChar: unix.S_IFCHR, tar.TypeBlock: unix.S_IFBLK, tar.TypeFifo: unix.S_IFIFO,
	}
	mode := uint32(h.Mode) //nolint:gosec // permission bits
	switch {
	case st.Mode&unix.S_IFMT != kinds[h.Typeflag]:
		return "the type"
	case int64(st.Uid) != int64(h.Uid), int64(st.Gid) != int64(h.Gid):
		return "the owner"
	case h.Typeflag != tar.TypeSymlink && st.Mode&^unix.S_IFMT != mode:
		return "the mode"
	case h.Typeflag == tar.TypeReg && st.Size != h.Size:
		return "the size"
	}
	return ""
}

func (c *Comparer) content(name string, want io.Reader) error {
	f, err := c.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	got, expected := bufio.NewReaderSize(f, bufferSize), make([]byte, bufferSize)
	found := make([]byte, bufferSize)
	for {
		n, err := io.ReadFull(want, expected)
		if n > 0 {
			m, _ := io.ReadFull(got, found[:n])
			if !bytes.Equal(expected[:n], found[:m]) {
				return fmt.Errorf("%w: the content of %q", ErrDifferent, name)
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (c *Comparer) link(name, target string) error {
	a, err := c.root.Lstat(name)
	if err != nil {
		return err
	}
	b, err := c.root.Lstat(target)
	if err == nil && !os.SameFile(a, b) {
		err = fmt.Errorf("%w: %q is no link to %q", ErrDifferent, name, target)
	}
	return err
}

// Finish looks for what should not be there: ErrDifferent.
func (c *Comparer) Finish() error {
	return fs.WalkDir(c.root.FS(), ".", func(name string, _ fs.DirEntry, err error) error {
		if err == nil && name != "." && !c.seen[name] {
			err = fmt.Errorf("%w: %q should not be there", ErrDifferent, name)
		}
		return err
	})
}
