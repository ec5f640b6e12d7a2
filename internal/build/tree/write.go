package tree

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// WriteDir writes the tree below dir, which is created if it is missing.
// Owners are those of the caller.
func (t *Tree) WriteDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	first := firstNames{}
	for _, e := range t.Entries() {
		name := filepath.Join(dir, filepath.FromSlash(e.Path))
		if err := e.writeTo(name, dir, first); err != nil {
			return fmt.Errorf("write %s: %w", e.Path, err)
		}
	}
	return nil
}

// writeTo creates the entry as name.
func (e Entry) writeTo(name, dir string, first firstNames) error {
	switch {
	case e.Mode.IsDir():
		if err := os.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return os.Chmod(name, e.Mode.Perm())
	case e.Mode&fs.ModeSymlink != 0:
		return os.Symlink(e.Target, name)
	}
	if old, ok := first.seen(e); ok {
		return os.Link(filepath.Join(dir, filepath.FromSlash(old)), name)
	}
	content, _, err := e.open()
	if err != nil {
		return err
	}
	defer content.Close()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, e.Mode.Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	err = errors.Join(err, f.Chmod(e.Mode.Perm()), f.Close())
	return err
}

// WriteACI writes the tree as an uncompressed ACI: the manifest, then the tree
// below rootfs.
func (t *Tree) WriteACI(w io.Writer, manifest []byte) error {
	out := tar.NewWriter(w)
	m := Entry{Path: "manifest", Mode: 0o644, Data: string(manifest)}
	root := Entry{Path: "rootfs", Mode: fs.ModeDir | 0o755}
	first := firstNames{}
	for _, e := range append([]Entry{m, root}, t.below("rootfs")...) {
		if err := e.writeTar(out, first); err != nil {
			return fmt.Errorf("write %s: %w", e.Path, err)
		}
	}
	return out.Close()
}

// below returns the entries with their paths moved below dir.
func (t *Tree) below(dir string) []Entry {
	list := t.Entries()
	for i := range list {
		list[i].Path = path.Join(dir, list[i].Path)
	}
	return list
}

// writeTar appends the entry to an archive.
func (e Entry) writeTar(out *tar.Writer, first firstNames) error {
	h := tar.Header{
		Name:    e.Path,
		Mode:    int64(e.Mode.Perm()),
		ModTime: time.Unix(0, 0),
		Format:  tar.FormatUSTAR,
	}
	switch {
	case e.Mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, e.Path+"/"
		return out.WriteHeader(&h)
	case e.Mode&fs.ModeSymlink != 0:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.Target
		return out.WriteHeader(&h)
	}
	if old, ok := first.seen(e); ok {
		h.Typeflag, h.Linkname = tar.TypeLink, old
		return out.WriteHeader(&h)
	}
	content, size, err := e.open()
	if err != nil {
		return err
	}
	defer content.Close()
	h.Typeflag, h.Size = tar.TypeReg, size
	if err := out.WriteHeader(&h); err != nil {
		return err
	}
	_, err = io.Copy(out, content)
	return err
}

// open returns a regular file's content and size.
func (e Entry) open() (io.ReadCloser, int64, error) {
	if e.Source == "" {
		return io.NopCloser(strings.NewReader(e.Data)), int64(len(e.Data)), nil
	}
	f, err := os.Open(e.Source)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", e.Source)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// firstNames remembers under which name each host file was written first.
type firstNames map[string]string

// seen returns the first name of the entry's source, or notes it.
func (f firstNames) seen(e Entry) (string, bool) {
	if e.Source == "" {
		return "", false
	}
	key := fmt.Sprintf("%o %s", e.Mode, e.Source)
	if name, ok := f[key]; ok {
		return name, true
	}
	f[key] = e.Path
	return "", false
}
