package render

import (
	"path"
	"slices"
	"strings"
)

// tree is the final tree while it grows layer by layer.
type tree struct{ root *node }

// node is a path in the tree and what owns it.
type node struct {
	source
	name     string           // the whole path
	children map[string]*node // of a directory, by the last part of the name
}

// source is an entry that wants a path. The zero source is a directory that no
// entry describes.
type source struct {
	layer, entry int
	file         *file // nil for directories
	link         bool
	described    bool
}

// file is what one entry made, under all names that it has.
type file struct {
	layer, entry int
	name         string   // of the entry
	names        []string // in the final tree
}

func newTree() *tree { return &tree{&node{name: "."}} }

// put gives a path to a new owner. What was there goes, and if it was a
// directory that is replaced by something else, all that was in it.
func (t *tree) put(name string, s source) {
	if name == "." {
		t.root.source = s
		return
	}
	parent := t.dir(path.Dir(name))
	base := path.Base(name)
	n := parent.children[base]
	if n == nil {
		n = parent.add(base, name)
	}
	if n.file != nil || s.file != nil {
		n.clear()
	}
	n.source = s
	if s.file != nil {
		s.file.names = append(s.file.names, name)
	}
}

// ensure puts an empty directory at a path unless something is there, or
// something that is no directory is on the way.
func (t *tree) ensure(name string) {
	for dir := name; dir != "."; dir = path.Dir(dir) {
		if n := t.find(dir); n != nil {
			if n.file == nil {
				t.dir(name)
			}
			return
		}
	}
	t.dir(name)
}

// dir returns the node of a directory, which it makes on the way if it is not
// there or something else.
func (t *tree) dir(name string) *node {
	n := t.root
	if name == "." {
		return n
	}
	for end := range name + "/" {
		if end < len(name) && name[end] != '/' {
			continue
		}
		base := path.Base(name[:end])
		child := n.children[base]
		if child == nil {
			child = n.add(base, name[:end])
		}
		if child.file != nil {
			child.clear()
			child.source = source{}
		}
		n = child
	}
	return n
}

// find returns the node at a path, nil if there is none.
func (t *tree) find(name string) *node {
	n := t.root
	if name == "." {
		return n
	}
	for part := range strings.SplitSeq(name, "/") {
		if n = n.children[part]; n == nil {
			return nil
		}
	}
	return n
}

func (n *node) add(base, name string) *node {
	if n.children == nil {
		n.children = make(map[string]*node)
	}
	child := &node{name: name}
	n.children[base] = child
	return child
}

// clear takes the paths of a node and of all below it from their owners.
func (n *node) clear() {
	n.each(func(gone *node) {
		if gone.file != nil {
			gone.file.remove(gone.name)
		}
	})
	n.children = nil
}

// each calls f for a node and all below it. Paths are bounded, and so is the
// recursion.
func (n *node) each(f func(*node)) {
	f(n)
	for _, child := range n.children {
		child.each(f)
	}
}

func (f *file) remove(name string) {
	if i := slices.Index(f.names, name); i >= 0 {
		f.names = slices.Delete(f.names, i, i+1)
	}
}

// first returns the path under which a file is written: the one that it came
// with, or if another has that now, of its hard links' the one that sorts
// first.
func (f *file) first() string {
	if slices.Contains(f.names, f.name) {
		return f.name
	}
	return slices.Min(f.names)
}
