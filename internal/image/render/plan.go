package render

import (
	"archive/tar"
	"context"
	"io"

	"rkt/internal/image/archive"
)

// plan says what becomes of every entry of the layers, so that a name is never
// written twice: the converter cannot replace a file.
type plan struct {
	layers []layerPlan
	// dirs are directories that whitelists ask for and that no layer has.
	dirs []string
}

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

// add gives an entry to add as what it becomes.
func (p *layerPlan) add(add Add, n int, e *archive.Entry, r io.Reader) error {
	switch e.Header.Typeflag {
	case tar.TypeDir:
		if !p.dirs[n] {
			return nil
		}
		return add(e.Name, &e.Header, r)
	case tar.TypeLink:
		target, ok := p.links[n]
		if !ok {
			return nil
		}
		e.Header.Linkname = target
		return add(e.Name, &e.Header, r)
	default:
		name, ok := p.names[n]
		if !ok {
			return nil
		}
		return add(name, &e.Header, r)
	}
}

// makePlan reads all layers, the lowest first, for their final tree.
func makePlan(ctx context.Context, layers []Layer, limits archive.Limits) (*plan, error) {
	final := newTree()
	for i, layer := range layers {
		own := make(map[string]*file) // hard links point into their own layer
		err := eachEntry(ctx, layers, i, limits, func(n int, e *archive.Entry, _ io.Reader) error {
			s := seen(own, i, n, e)
			if layer.keeps(e.Name, isDir(&e.Header)) {
				final.put(e.Name, s)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, name := range layer.Dirs {
			final.ensure(name)
		}
	}
	return final.plan(layers), nil
}

// seen returns what an entry brings and remembers it for the hard links that
// follow.
func seen(own map[string]*file, layer, n int, e *archive.Entry) source {
	s := source{layer: layer, entry: n, described: true}
	switch e.Header.Typeflag {
	case tar.TypeDir:
		return s
	case tar.TypeLink:
		s.file, s.link = own[e.Header.Linkname], true
	default:
		s.file = &file{layer: layer, entry: n, name: e.Name}
	}
	own[e.Name] = s.file
	return s
}

// plan turns the final tree into what becomes of each entry.
func (t *tree) plan(layers []Layer) *plan {
	p := &plan{layers: make([]layerPlan, len(layers))}
	for i := range p.layers {
		p.layers[i] = layerPlan{names: make(map[int]string), links: make(map[int]string), dirs: make(map[int]bool)}
	}
	t.root.each(func(n *node) {
		switch {
		case n.file == nil && n.described:
			p.layers[n.layer].dirs[n.entry] = true
		case n.file == nil:
		case n.file.first() == n.name:
			p.layers[n.file.layer].names[n.file.entry] = n.name
		case n.link:
			p.layers[n.layer].links[n.entry] = n.file.first()
		}
	})
	for _, layer := range layers {
		for _, name := range layer.Dirs {
			if n := t.find(name); n != nil && n.file == nil && !n.described {
				p.dirs = append(p.dirs, name)
			}
		}
	}
	return p
}
