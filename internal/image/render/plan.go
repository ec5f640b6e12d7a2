package render

import (
	"archive/tar"
	"context"
	"io"
	"path"
	"slices"
	"strings"

	"rkt/internal/image/archive"
)

// plan says what becomes of every entry of the layers, so that a name is never
// written twice: the converter cannot replace a file.
type plan struct{ layers []layerPlan }

// layerPlan says what becomes of the entries of one layer.
type layerPlan struct {
	// names holds the path that a file is written under, by the number of its
	// entry. A file that is not there in the end is left out.
	names map[int]string
	// links holds, for entries that are hard links and stay, the path that
	// they link to.
	links map[int]string
	// dirs holds the numbers of directories that stay.
	dirs map[int]bool
}

func (p *layerPlan) write(w *writer, n int, e *archive.Entry, r io.Reader) error {
	switch e.Header.Typeflag {
	case tar.TypeDir:
		if !p.dirs[n] {
			return nil
		}
		return w.add(e.Name, &e.Header, r)
	case tar.TypeLink:
		target, ok := p.links[n]
		if !ok {
			return nil
		}
		e.Header.Linkname = target
		return w.add(e.Name, &e.Header, r)
	default:
		name, ok := p.names[n]
		if !ok {
			return nil
		}
		return w.add(name, &e.Header, r)
	}
}

// file is what one entry made, under all names that it has.
type file struct {
	layer, entry int
	name         string // of the entry
	names        map[string]bool
}

// source is an entry that wants a path.
type source struct {
	layer, entry int
	file         *file // nil for directories
	link         bool
}

// tree is the final tree while it grows.
type tree map[string]source

func makePlan(ctx context.Context, layers []Layer, limits archive.Limits) (*plan, error) {
	final := make(tree)
	var links []linkEntry
	dirs := make([]map[int]string, len(layers))
	for i, layer := range layers {
		dirs[i] = make(map[int]string)
		own := make(tree) // hard links point into their own layer
		err := eachEntry(ctx, layer, limits, func(n int, e *archive.Entry, _ io.Reader) error {
			s := own.see(i, n, e)
			if s.link {
				links = append(links, linkEntry{e.Name, s})
			}
			if isDir(&e.Header) {
				dirs[i][n] = e.Name
			}
			if listed(layer.Whitelist, e.Name, isDir(&e.Header)) {
				final.put(e.Name, s)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return final.plan(dirs, links), nil
}

// linkEntry is an entry that is a hard link, and the path it is at.
type linkEntry struct {
	name string
	source
}

// see returns what an entry brings and remembers it for the hard links that
// follow.
func (t tree) see(layer, n int, e *archive.Entry) source {
	s := source{layer: layer, entry: n}
	switch e.Header.Typeflag {
	case tar.TypeDir:
		return s
	case tar.TypeLink:
		s.file, s.link = t[e.Header.Linkname].file, true
	default:
		s.file = &file{layer: layer, entry: n, name: e.Name, names: make(map[string]bool)}
	}
	t[e.Name] = s
	return s
}

// listed says whether a whitelist leaves a path. What leads to a listed path
// stays, if it is a directory.
func listed(whitelist []string, name string, dir bool) bool {
	if len(whitelist) == 0 || name == "." {
		return true
	}
	return slices.ContainsFunc(whitelist, func(entry string) bool {
		entry = strings.TrimPrefix(path.Clean(entry), "/")
		return entry == name || dir && strings.HasPrefix(entry, name+"/")
	})
}

// put gives a path to a new owner. What was there goes, and if it was a
// directory that is replaced by something else, all that was in it.
func (t tree) put(name string, s source) {
	old, there := t[name]
	if there && old.file != nil {
		delete(old.file.names, name)
	}
	if there && old.file == nil && s.file != nil {
		t.removeBelow(name)
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		parent, there := t[dir]
		if there && parent.file == nil {
			break
		}
		if there {
			delete(parent.file.names, dir)
		}
		t[dir] = source{} // a directory that no entry describes
	}
	if s.file != nil {
		s.file.names[name] = true
	}
	t[name] = s
}

func (t tree) removeBelow(dir string) {
	for name, s := range t {
		if strings.HasPrefix(name, dir+"/") {
			if s.file != nil {
				delete(s.file.names, name)
			}
			delete(t, name)
		}
	}
}

// plan turns the final tree into what becomes of each entry.
func (t tree) plan(dirs []map[int]string, links []linkEntry) *plan {
	p := &plan{layers: make([]layerPlan, len(dirs))}
	for i := range p.layers {
		p.layers[i] = layerPlan{names: make(map[int]string), links: make(map[int]string), dirs: make(map[int]bool)}
		for n, name := range dirs[i] {
			s, there := t[name]
			p.layers[i].dirs[n] = there && s.file == nil || name == "."
		}
	}
	for _, s := range t {
		if s.file != nil {
			p.layers[s.file.layer].names[s.file.entry] = s.file.first()
		}
	}
	for _, l := range links {
		owner := t[l.name]
		if owner.file == nil || owner.layer != l.layer || owner.entry != l.entry {
			continue
		}
		if first := l.file.first(); first != l.name {
			p.layers[l.layer].links[l.entry] = first
		}
	}
	return p
}

// first returns the path under which a file is written: the one that it came
// with, or if another has that now, of its hard links' the one that sorts
// first.
func (f *file) first() string {
	if f.names[f.name] {
		return f.name
	}
	first := ""
	for name := range f.names {
		if first == "" || name < first {
			first = name
		}
	}
	return first
}
