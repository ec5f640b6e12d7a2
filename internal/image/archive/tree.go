package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"path"
)

// impliedDir is the type of a directory that no entry has named yet.
const impliedDir = 0

// duplicateMark is a key that no path can have. It is there if a name other
// than a directory's was used twice.
const duplicateMark = ""

// tree knows the type of every path below rootfs that the archive has named so
// far. A hard link has the type of its target.
type tree map[string]byte

func isDir(kind byte) bool { return kind == tar.TypeDir || kind == impliedDir }

func (t tree) hasDuplicates() bool {
	_, there := t[duplicateMark]
	return there
}

// add records an entry at name, a clean path other than ".".
func (t tree) add(name string, kind byte) error {
	if err := t.addParents(name); err != nil {
		return err
	}
	old, there := t[name]
	switch {
	case !there:
	case isDir(old) && kind != tar.TypeDir:
		return errors.New("it replaces a directory that is in the archive before it")
	case !isDir(old) && kind == tar.TypeDir:
		return errors.New("it is a directory and replaces something else that is in the archive before it")
	case kind != tar.TypeDir:
		t[duplicateMark] = 0
	}
	t[name] = kind
	return nil
}

// addParents makes sure that all directories on the way to name are
// directories, so that nothing is put through a symbolic link.
func (t tree) addParents(name string) error {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		kind, there := t[dir]
		switch {
		case !there:
			t[dir] = impliedDir
		case kind == tar.TypeSymlink:
			return fmt.Errorf("its path leads through the symbolic link %q", shorten(dir))
		case !isDir(kind):
			return fmt.Errorf("its path leads through %q, which is not a directory", shorten(dir))
		default:
			return nil // what leads to a directory are directories
		}
	}
	return nil
}

// linkTarget checks the target of a hard link and returns it as a path below
// rootfs.
func (t tree) linkTarget(target string) (string, error) {
	parts, err := split(target)
	if err != nil {
		return "", fmt.Errorf("it links to %q: %w", shorten(target), err)
	}
	if len(parts) < 2 || parts[0] != rootfsName {
		return "", fmt.Errorf("it links to %q, which is outside of rootfs", shorten(target))
	}
	name := joinParts(parts[1:])
	if kind, there := t[name]; !there || isDir(kind) {
		return "", fmt.Errorf("it links to %q, which is not a file that is in the archive before it", shorten(target))
	}
	return name, nil
}

// link records a hard link at name to target, which linkTarget has returned.
func (t tree) link(name, target string) error {
	if name == target {
		return errors.New("it links to itself")
	}
	return t.add(name, t[target])
}
