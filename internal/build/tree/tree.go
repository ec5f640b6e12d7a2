// Package tree collects the files of an image that is being built and writes
// them out, as a directory or as an ACI. The same tree gives the same bytes
// wherever and whenever it is written: entries are sorted, everything belongs
// to root, and every time is the epoch.
package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// ErrConflict is returned when a path is given two different contents.
var ErrConflict = errors.New("path is already taken by something else")

// Entry is one file, directory or symbolic link.
type Entry struct {
	// Path is relative to the image's root, clean, without a leading slash.
	Path string
	// Mode holds the type (regular, directory or symbolic link) and the
	// permissions.
	Mode fs.FileMode
	// Source is the host file that holds a regular file's content; if it is
	// empty, Data is the content. Entries that share a source and a mode are
	// written as hard links.
	Source string
	Data   string
	// Target is a symbolic link's.
	Target string
}

// Tree is a set of entries. Parents that nobody added exist with mode 0755.
type Tree struct {
	entries map[string]Entry
}

// New returns an empty tree.
func New() *Tree { return &Tree{entries: map[string]Entry{}} }

// Dir adds a directory. Adding one that exists sets its permissions.
func (t *Tree) Dir(name string, perm fs.FileMode) error {
	p, err := clean(name)
	if err != nil {
		return err
	}
	if p == "." {
		return nil
	}
	if e, ok := t.entries[p]; ok && !e.Mode.IsDir() {
		return fmt.Errorf("add directory %s: %w", p, ErrConflict)
	}
	if err := t.parents(p); err != nil {
		return err
	}
	t.entries[p] = Entry{Path: p, Mode: fs.ModeDir | perm}
	return nil
}

// File adds a regular file with the content of the host file source.
func (t *Tree) File(name, source string, perm fs.FileMode) error {
	return t.add(Entry{Path: name, Mode: perm, Source: source})
}

// Data adds a regular file with the given content.
func (t *Tree) Data(name, data string, perm fs.FileMode) error {
	return t.add(Entry{Path: name, Mode: perm, Data: data})
}

// Symlink adds a symbolic link.
func (t *Tree) Symlink(name, target string) error {
	return t.add(Entry{Path: name, Mode: fs.ModeSymlink | 0o777, Target: target})
}

// Graft adds everything in other below the directory at.
func (t *Tree) Graft(at string, other *Tree) error {
	if err := t.Dir(at, 0o755); err != nil {
		return err
	}
	for _, e := range other.Entries() {
		name := path.Join(at, e.Path)
		if e.Mode.IsDir() {
			if err := t.Dir(name, e.Mode.Perm()); err != nil {
				return err
			}
			continue
		}
		e.Path = name
		if err := t.add(e); err != nil {
			return err
		}
	}
	return nil
}

// Entries returns all entries sorted by path, so that a directory comes before
// what is in it.
func (t *Tree) Entries() []Entry {
	list := make([]Entry, 0, len(t.entries))
	for _, p := range slices.SortedFunc(maps.Keys(t.entries), comparePaths) {
		list = append(list, t.entries[p])
	}
	return list
}

// add inserts an entry that is not a directory.
func (t *Tree) add(e Entry) error {
	p, err := clean(e.Path)
	if err != nil {
		return err
	}
	e.Path = p
	if old, ok := t.entries[p]; ok {
		if old == e {
			return nil
		}
		return fmt.Errorf("add %s: %w", p, ErrConflict)
	}
	if err := t.parents(p); err != nil {
		return err
	}
	t.entries[p] = e
	return nil
}

// parents adds the directories above p that are missing.
func (t *Tree) parents(p string) error {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		e, ok := t.entries[dir]
		if !ok {
			t.entries[dir] = Entry{Path: dir, Mode: fs.ModeDir | 0o755}
			continue
		}
		if !e.Mode.IsDir() {
			return fmt.Errorf("add %s below %s, which is not a directory: %w", p, dir, ErrConflict)
		}
	}
	return nil
}

// clean makes a path relative and refuses one that leaves the tree.
func clean(name string) (string, error) {
	if slices.Contains(strings.Split(name, "/"), "..") {
		return "", fmt.Errorf("path %q leads out of the image", name)
	}
	p := path.Clean(strings.TrimLeft(name, "/"))
	return p, nil
}

// comparePaths orders paths element by element.
func comparePaths(a, b string) int {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}
