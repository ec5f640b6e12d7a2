package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"rkt/internal/appc"
	"rkt/internal/errhint"
	"rkt/internal/image/render"
)

// Bounds of what the dependencies of one image may be.
const (
	// MaxDependencyDepth is how many images may lie one below the other.
	MaxDependencyDepth = 32
	// MaxDependencies is how many images one image may be made of.
	MaxDependencies = 128
)

// Dependency returns the stored image that d, a dependency of an image with
// the manifest of, stands for: ErrNotFound, or ErrMismatch if the image that
// it names is another than it says. What is not named, such as the version, is
// free, but an image for another platform than of's is none.
//
// appc: "Dependency Matching".
func (s *Store) Dependency(of *appc.ImageManifest, d appc.Dependency) (*Image, error) {
	r, err := s.catalog().dependency(of, d)
	if err != nil {
		return nil, err
	}
	return s.get(r.ID)
}

func (c *catalog) dependency(of *appc.ImageManifest, d appc.Dependency) (r *record, err error) {
	if d.ImageID != "" {
		r, err = c.store.readRecord(d.ImageID.Key())
	} else {
		r, err = c.find(d.ImageName, d.Labels, func(r *record) bool { return samePlatform(of.Labels, r.Labels) })
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, errhint.With(fmt.Errorf("dependency %s: %w", describe(d), err), "fetch the image again, with its dependencies")
	case err != nil:
		return nil, err
	case r.Name != d.ImageName:
		return nil, fmt.Errorf("dependency %s: %w: the image with this id is %q", describe(d), ErrMismatch, r.Name)
	case d.Size != 0 && d.Size != uint64(r.Size) && d.Size != uint64(r.Plain): //nolint:gosec // sizes are not negative
		return nil, fmt.Errorf("dependency %s: %w: image %q has %d bytes, %d uncompressed, instead of %d",
			describe(d), ErrMismatch, r.ID, r.Size, r.Plain, d.Size)
	}
	return r, nil
}

// describe returns how messages name a dependency.
func describe(d appc.Dependency) string {
	text := string(d.ImageName)
	for _, l := range d.Labels {
		text += "," + string(l.Name) + "=" + l.Value
	}
	if d.ImageID != "" {
		text += " with id " + string(d.ImageID)
	}
	return fmt.Sprintf("%q", text)
}

// samePlatform says whether two images may be parts of one. An image without
// os or arch is for all.
func samePlatform(a, b appc.Labels) bool {
	for _, name := range []string{"os", "arch"} {
		x, hasX := a.Get(name)
		y, hasY := b.Get(name)
		if hasX && hasY && x != y {
			return false
		}
	}
	return true
}

// part is one of the images that an image is made of.
type part struct {
	record    *record
	manifest  *appc.ImageManifest
	whitelist *render.Whitelist
	users     []*part // whose dependency it is
	index     int     // in the order of rendering
	filtered  bool    // a whitelist is over it
}

// assembly puts the parts of an image in order.
type assembly struct {
	known *catalog
	parts []*part          // the lowest first
	done  map[string]*part // by id
	path  []*part          // from the image to the one that is being looked at
}

// parts returns what an image is made of, the lowest first: each image after
// those that it depends on, those in the order in which it names them, and
// none twice. ErrCycle, ErrTooDeep.
func (s *Store) parts(known *catalog, r *record, m *appc.ImageManifest) ([]*part, error) {
	a := &assembly{known: known, done: make(map[string]*part)}
	if _, err := a.add(r, m); err != nil {
		return nil, err
	}
	for i, p := range slices.Backward(a.parts) {
		p.index = i
		p.filtered = p.whitelist != nil || slices.ContainsFunc(p.users, func(u *part) bool { return u.filtered })
	}
	return a.parts, nil
}

func (a *assembly) add(r *record, m *appc.ImageManifest) (*part, error) {
	p := &part{record: r, manifest: m, whitelist: render.NewWhitelist(m.PathWhitelist)}
	a.path = append(a.path, p)
	defer func() { a.path = a.path[:len(a.path)-1] }()
	if len(a.path) > MaxDependencyDepth {
		return nil, fmt.Errorf("%w: more than %d images lie one below the other", ErrTooDeep, MaxDependencyDepth)
	}
	for _, d := range m.Dependencies {
		dep, err := a.dependency(p, d)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(dep.users, p) {
			dep.users = append(dep.users, p)
		}
	}
	a.done[r.ID] = p
	if a.parts = append(a.parts, p); len(a.parts) > MaxDependencies {
		return nil, fmt.Errorf("%w: it is made of more than %d images", ErrTooDeep, MaxDependencies)
	}
	return p, nil
}

func (a *assembly) dependency(of *part, d appc.Dependency) (*part, error) {
	r, err := a.known.dependency(of.manifest, d)
	if err != nil {
		return nil, fmt.Errorf("image %q: %w", of.record.Name, err)
	}
	if i := slices.IndexFunc(a.path, func(p *part) bool { return p.record.ID == r.ID }); i >= 0 {
		return nil, fmt.Errorf("%w: %s", ErrCycle, names(append(slices.Clone(a.path[i:]), a.path[i])))
	}
	if dep := a.done[r.ID]; dep != nil {
		return dep, nil
	}
	m, _, err := a.known.store.readManifest(r)
	if err != nil {
		return nil, err
	}
	return a.add(r, m)
}

func names(parts []*part) string {
	words := make([]string, len(parts))
	for i, p := range parts {
		words[i] = string(p.record.Name)
	}
	return strings.Join(words, " → ")
}

// layers returns the parts as they are rendered.
func (s *Store) layers(ctx context.Context, parts []*part) []render.Layer {
	layers := make([]render.Layer, len(parts))
	for i, p := range parts {
		id := p.record.ID
		layers[i] = render.Layer{
			Open:       func() (io.ReadCloser, error) { return s.openPlain(ctx, id) },
			Duplicates: p.record.Duplicates,
		}
		if p.filtered {
			keeps := keeper(parts, i)
			layers[i].Keep = keeps
			layers[i].Dirs = slices.DeleteFunc(p.whitelist.Dirs(), func(name string) bool { return !keeps(name, true) })
		}
	}
	return layers
}

// keeper says which paths of a part are in the final tree: those that on a way
// up from it all whitelists leave in, because a whitelist is over what an image
// and its dependencies make together.
func keeper(parts []*part, of int) func(name string, dir bool) bool {
	kept := make([]bool, len(parts))
	return func(name string, dir bool) bool {
		for i, p := range slices.Backward(parts) {
			if i < of {
				break
			}
			kept[i] = p.whitelist.Keeps(name, dir) &&
				(len(p.users) == 0 || slices.ContainsFunc(p.users, func(u *part) bool { return kept[u.index] }))
		}
		return kept[of]
	}
}
