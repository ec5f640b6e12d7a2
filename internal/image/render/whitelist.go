package render

import (
	"path"
	"slices"
	"strings"
)

// Whitelist holds the paths that an image leaves of itself and of what lies
// below it.
type Whitelist struct {
	paths map[string]bool // clean, without a leading slash
	above map[string]bool // the directories on the way to them
	dirs  []string
}

// NewWhitelist returns the whitelist with the given absolute paths. The empty
// one is nil and leaves everything.
//
// appc: image manifest, "pathWhitelist": a complete set of absolute paths. A
// path that ends in a slash is a directory that is there in any case, and
// empty unless more of it is listed.
func NewWhitelist(paths []string) *Whitelist {
	if len(paths) == 0 {
		return nil
	}
	w := &Whitelist{paths: make(map[string]bool), above: make(map[string]bool)}
	for _, p := range paths {
		name := strings.TrimPrefix(path.Clean("/"+p), "/")
		if name == "" {
			continue
		}
		w.paths[name] = true
		for dir := path.Dir(name); dir != "." && !w.above[dir]; dir = path.Dir(dir) {
			w.above[dir] = true
		}
		if strings.HasSuffix(p, "/") {
			w.dirs = append(w.dirs, name)
		}
	}
	return w
}

// Keeps says whether the whitelist leaves a path. What leads to a listed path
// stays, if it is a directory.
func (w *Whitelist) Keeps(name string, dir bool) bool {
	return w == nil || name == "." || w.paths[name] || dir && w.above[name]
}

// Dirs returns the directories that are to be there in any case.
func (w *Whitelist) Dirs() []string {
	if w == nil {
		return nil
	}
	return slices.Clone(w.dirs)
}
