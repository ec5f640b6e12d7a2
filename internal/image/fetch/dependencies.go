package fetch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"rkt/internal/appc"
	"rkt/internal/image"
	"rkt/internal/image/store"
	"rkt/internal/image/web"
)

// tree is what images depend on, as far as it is known.
type tree struct {
	names map[string]appc.ACIdentifier // of images, by their ids
	below map[string][]string          // ids of what an image depends on
	ids   map[string]string            // of dependencies, by what they ask for
	most  int                          // images that there may be
}

// getDependencies makes sure that what the images of the list depend on is in
// the store: breadth first, each once, with those of one level at once.
func (f *Fetcher) getDependencies(ctx context.Context, client *web.Client, list []*want) error {
	t := &tree{
		names: make(map[string]appc.ACIdentifier), below: make(map[string][]string), ids: make(map[string]string),
		most: len(list) * store.MaxDependencies,
	}
	level := list
	for depth := 0; len(level) > 0; depth++ {
		if depth >= store.MaxDependencyDepth {
			return &ImageError{level[0].ref.Input, fmt.Errorf("%w: they are more than %d deep", ErrTooMany, store.MaxDependencyDepth)}
		}
		edges, next, err := f.edges(t, level)
		if err != nil {
			return err
		}
		if err := f.getAll(ctx, client, next); err != nil {
			return err
		}
		for _, w := range next {
			t.ids[w.ref.Input] = w.id
		}
		if err := f.connect(t, edges); err != nil {
			return err
		}
		level = next
	}
	return t.check(list)
}

// edge is a dependency of an image.
type edge struct {
	user string // id of the image
	dep  appc.Dependency
}

// edges returns the dependencies of a level's images that were not looked at
// yet, and what of them is to be found.
func (f *Fetcher) edges(t *tree, level []*want) (edges []edge, next []*want, err error) {
	asked := make(map[string]bool)
	for _, w := range level {
		if _, looked := t.names[w.id]; looked {
			continue
		}
		img, err := f.Store.Get(w.id)
		if err != nil {
			return nil, nil, &ImageError{w.ref.Input, removed(err)}
		}
		t.names[w.id] = img.Manifest.Name
		for _, dep := range img.Manifest.Dependencies {
			edges = append(edges, edge{w.id, dep})
			input := describe(dep)
			if t.ids[input] == "" && !asked[input] {
				asked[input] = true
				next = append(next, f.wantFor(dep, input))
			}
		}
		if len(t.names)+len(next) > t.most {
			return nil, nil, &ImageError{w.ref.Input, fmt.Errorf("%w: they are more than %d", ErrTooMany, t.most)}
		}
	}
	return edges, next, nil
}

// wantFor returns what to ask for to get a dependency. One that is in the store
// under the id that it must have need not be looked for.
func (f *Fetcher) wantFor(dep appc.Dependency, input string) *want {
	w := &want{title: input, ref: image.Reference{Kind: image.KindName, Input: input, Name: dep.ImageName, Labels: dep.Labels}}
	if dep.ImageID != "" {
		if img, err := f.Store.Get(dep.ImageID.Key()); err == nil && !img.Damaged {
			w.id = img.ID
			w.ref.Kind, w.ref.Hash = image.KindHash, img.ID
		}
	}
	return w
}

// describe writes down what a dependency asks for, as one could on the command
// line as far as that goes.
func describe(dep appc.Dependency) string {
	var b strings.Builder
	b.WriteString(string(dep.ImageName))
	if version, ok := dep.Labels.Get("version"); ok {
		b.WriteString(":" + version)
	}
	labels := slices.Clone(dep.Labels)
	slices.SortFunc(labels, func(a, b appc.Label) int { return strings.Compare(string(a.Name), string(b.Name)) })
	for _, l := range labels {
		if l.Name != "version" {
			fmt.Fprintf(&b, ",%s=%s", l.Name, l.Value)
		}
	}
	if dep.ImageID != "" {
		b.WriteString("@" + dep.ImageID.Key())
	}
	return b.String()
}

// connect notes which images the edges lead to, if they are the right ones.
func (f *Fetcher) connect(t *tree, edges []edge) error {
	for _, e := range edges {
		id := t.ids[describe(e.dep)]
		if err := f.checkDependency(e.dep, id); err != nil {
			return &ImageError{string(t.names[e.user]), fmt.Errorf("dependency %q: %w", e.dep.ImageName, err)}
		}
		t.below[e.user] = append(t.below[e.user], id)
	}
	return nil
}

// checkDependency compares an image with what the manifest of another says about
// it. The size may be that of the archive, compressed or not: the specification
// does not say which.
func (f *Fetcher) checkDependency(dep appc.Dependency, id string) error {
	if want := dep.ImageID.Key(); want != "" && want != id {
		return fmt.Errorf("%w: its id is %s instead of %s", ErrMismatch, id, want)
	}
	if dep.Size == 0 {
		return nil
	}
	packed, plain, err := f.Store.ArchiveSize(id)
	if err == nil && dep.Size != uint64(packed) && dep.Size != uint64(plain) {
		err = fmt.Errorf("%w: it has %d bytes, %d uncompressed, instead of %d", ErrMismatch, packed, plain, dep.Size)
	}
	return removed(err)
}

// removed explains why an image is not there that was there before.
func removed(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return ErrRemoved
	}
	return err
}

// check refuses images that depend on themselves.
func (t *tree) check(list []*want) error {
	done := make(map[string]bool)
	for _, w := range list {
		if path := t.cycle(w.id, nil, done); path != nil {
			return &ImageError{w.ref.Input, fmt.Errorf("%w: %s", ErrCycle, strings.Join(path, " needs "))}
		}
	}
	return nil
}

// cycle returns the names on a way from the image with the id back to itself,
// or to another on the path to it.
func (t *tree) cycle(id string, path []string, done map[string]bool) []string {
	if i := slices.Index(path, id); i >= 0 {
		var names []string
		for _, id := range append(path[i:], id) {
			names = append(names, string(t.names[id]))
		}
		return names
	}
	if done[id] {
		return nil
	}
	for _, below := range t.below[id] {
		if names := t.cycle(below, append(path, id), done); names != nil {
			return names
		}
	}
	done[id] = true
	return nil
}
