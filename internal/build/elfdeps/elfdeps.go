// Package elfdeps finds what a program needs to be loaded: its interpreter and
// its shared libraries, those that they need in turn, and those that one of
// them announces it will open at run time (in notes of section .note.dlopen).
//
// The places where it looks are those of the dynamic loader without a cache
// file, since an image has none: the object's own run path, then the system's
// library directories. What it finds is named by where the loader will look
// for it in an image whose /lib, /lib64, /bin and /sbin are links below /usr.
package elfdeps

import (
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNotFound is returned when a library is in none of the places where the
// loader would look.
var ErrNotFound = errors.New("library not found")

// File is one file that belongs beside a program.
type File struct {
	// Path is where the loader looks for it, absolute in the image.
	Path string
	// Source is the file on the host, with all links resolved.
	Source string
}

// Finder looks for libraries in the host's directories.
type Finder struct {
	// Dirs are the system's library directories, in the loader's order.
	Dirs []string
}

// Debian returns the finder for a Debian host of the given multiarch name,
// such as "x86_64-linux-gnu".
func Debian(multiarch string) Finder {
	return Finder{Dirs: []string{
		"/lib/" + multiarch, "/usr/lib/" + multiarch, "/lib", "/usr/lib",
	}}
}

// Find returns everything that the program or library source needs, sorted by
// path and without source itself. A static program needs nothing.
func (f Finder) Find(source string) ([]File, error) {
	w := walk{Finder: f, loaded: map[string]bool{}, found: map[string]string{}}
	// Breadth first, as the loader does: a library that one object finds by its
	// run path is there for all that come after.
	for w.queue = []string{source}; len(w.queue) > 0; {
		next := w.queue[0]
		w.queue = w.queue[1:]
		if err := w.object(next); err != nil {
			return nil, fmt.Errorf("find libraries of %s: %w", source, err)
		}
	}
	files := make([]File, 0, len(w.found))
	for path, src := range w.found {
		files = append(files, File{Path: path, Source: src})
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return files, nil
}

// UsrMerged moves a path in one of the old top-level directories below /usr.
func UsrMerged(path string) string {
	for _, dir := range []string{"/bin/", "/sbin/", "/lib/", "/lib64/"} {
		if strings.HasPrefix(path, dir) {
			return "/usr" + path
		}
	}
	return path
}

// walk is one search.
type walk struct {
	Finder
	queue  []string          // paths of objects that were not read yet
	loaded map[string]bool   // names under which something was found
	found  map[string]string // image paths and their host files
}

// object adds what one ELF file needs.
func (w *walk) object(path string) error {
	o, err := readObject(path)
	if err != nil {
		return err
	}
	if o.interpreter != "" {
		w.loaded[filepath.Base(o.interpreter)] = true
		if err := w.add(o.interpreter); err != nil {
			return err
		}
	}
	for _, lib := range o.needed {
		if err := w.load(lib, o); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
	}
	for _, n := range o.dlopen {
		if err := w.note(n, o); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
	}
	return nil
}

// load finds one library, unless something of that name is there already.
func (w *walk) load(name string, by *object) error {
	if w.loaded[name] {
		return nil
	}
	for _, dir := range slices.Concat(by.runPath, w.Dirs) {
		path := filepath.Join(dir, name)
		if !fits(path, by) {
			continue
		}
		w.loaded[name] = true
		w.queue = append(w.queue, path)
		return w.add(path)
	}
	return fmt.Errorf("%w: %s", ErrNotFound, name)
}

// note adds the first library of a note that is installed. What is merely
// suggested is left out: an image holds what it needs.
func (w *walk) note(n dlopenNote, by *object) error {
	if n.Priority == prioritySuggested {
		return nil
	}
	for _, name := range n.Soname {
		err := w.load(name, by)
		if !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	if n.Priority == priorityRecommended {
		return nil
	}
	return fmt.Errorf("%w: any of %v, which feature %q requires", ErrNotFound, n.Soname, n.Feature)
}

// add notes a file under the path where the loader will look for it.
func (w *walk) add(path string) error {
	source, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	w.found[UsrMerged(path)] = source
	return nil
}

// object is what the loader reads from an ELF file.
type object struct {
	class       elf.Class
	machine     elf.Machine
	interpreter string
	needed      []string
	runPath     []string
	dlopen      []dlopenNote
}

// readObject reads the loader's view of a file.
func readObject(path string) (*object, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	defer f.Close()
	o := &object{class: f.Class, machine: f.Machine}
	if o.interpreter, err = interpreter(f); err != nil {
		return nil, fmt.Errorf("read interpreter of %s: %w", path, err)
	}
	if f.SectionByType(elf.SHT_DYNAMIC) == nil {
		return o, nil
	}
	if o.needed, err = f.DynString(elf.DT_NEEDED); err != nil {
		return nil, fmt.Errorf("read needed libraries of %s: %w", path, err)
	}
	if o.runPath, err = runPath(f, path); err != nil {
		return nil, fmt.Errorf("read run path of %s: %w", path, err)
	}
	if o.dlopen, err = readDlopenNotes(f); err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", dlopenSection, path, err)
	}
	return o, nil
}

// interpreter returns the loader that a program asks for, if any.
func interpreter(f *elf.File) (string, error) {
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		if p.Filesz > 4096 {
			return "", fmt.Errorf("name of %d bytes", p.Filesz)
		}
		b := make([]byte, p.Filesz)
		if _, err := p.ReadAt(b, 0); err != nil {
			return "", err
		}
		return strings.TrimRight(string(b), "\x00"), nil
	}
	return "", nil
}

// runPath returns the object's own library directories.
func runPath(f *elf.File, path string) ([]string, error) {
	for _, tag := range []elf.DynTag{elf.DT_RUNPATH, elf.DT_RPATH} {
		values, err := f.DynString(tag)
		if err != nil {
			return nil, err
		}
		if len(values) == 0 {
			continue
		}
		origin := filepath.Dir(path)
		expand := strings.NewReplacer("$ORIGIN", origin, "${ORIGIN}", origin)
		var dirs []string
		for dir := range strings.SplitSeq(values[0], ":") {
			dirs = append(dirs, filepath.Clean(expand.Replace(dir)))
		}
		return dirs, nil
	}
	return nil, nil
}

// fits says whether path is a library that the object could be linked with.
func fits(path string, by *object) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return f.Class == by.class && f.Machine == by.machine
}
