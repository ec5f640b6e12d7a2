// Package recipe turns a list of files into a tree: what an image holds is
// written down in one readable file instead of in code.
//
// A recipe has one entry a line; # starts a comment, words are separated by
// blanks:
//
//	dir  PATH [MODE]        an empty directory, mode 0755 unless given
//	link PATH TARGET        a symbolic link
//	file PATH [SOURCE ...]  a copy of the first source that exists
//	elf  PATH [SOURCE ...]  the same, and all that it needs to be loaded
//
// Without a source, PATH on the host is meant. A relative source is in the
// recipe's directory. An entry that starts with "optional" is left out if no
// source exists. ${name} stands for a variable's value; a variable with several
// values repeats the line for each.
package recipe

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"rkt/internal/build/elfdeps"
	"rkt/internal/build/tree"
)

// Errors that a recipe can have.
var (
	// ErrSyntax is returned for a line that is not an entry.
	ErrSyntax = errors.New("not a recipe entry")
	// ErrNoSource is returned when none of an entry's sources exists.
	ErrNoSource = errors.New("no source exists")
	// ErrVariable is returned for a variable that nobody gave.
	ErrVariable = errors.New("unknown variable")
)

// Options are what a recipe is read with.
type Options struct {
	// Vars holds the variables' values.
	Vars map[string][]string
	// Libraries finds what elf entries need.
	Libraries elfdeps.Finder
}

// Build returns the tree that the recipe file describes.
func Build(path string, o Options) (*tree.Tree, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open recipe: %w", err)
	}
	defer f.Close()
	entries, err := parse(f, o.Vars)
	if err != nil {
		return nil, fmt.Errorf("read recipe %s: %w", path, err)
	}
	b := builder{Options: o, dir: filepath.Dir(path), tree: tree.New()}
	for _, e := range entries {
		if err := b.add(e); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, e.line, err)
		}
	}
	return b.tree, nil
}

// entry is one line after variables were put in.
type entry struct {
	line     int
	optional bool
	verb     string
	path     string
	args     []string
}

// parse reads all entries.
func parse(r io.Reader, vars map[string][]string) ([]entry, error) {
	var entries []entry
	in := bufio.NewScanner(r)
	for n := 1; in.Scan(); n++ {
		text, _, _ := strings.Cut(in.Text(), "#")
		lines, err := expand(text, vars)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		for _, line := range lines {
			words := strings.Fields(line)
			if len(words) == 0 {
				continue
			}
			e, err := parseEntry(words)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			e.line = n
			entries = append(entries, e)
		}
	}
	return entries, in.Err()
}

// parseEntry reads one line's words.
func parseEntry(words []string) (entry, error) {
	var e entry
	if words[0] == "optional" {
		e.optional, words = true, words[1:]
	}
	if len(words) < 2 {
		return e, fmt.Errorf("%w: %q", ErrSyntax, strings.Join(words, " "))
	}
	e.verb, e.path, e.args = words[0], words[1], words[2:]
	ok := false
	switch e.verb {
	case "dir":
		ok = len(e.args) <= 1 && !e.optional
	case "link":
		ok = len(e.args) == 1 && !e.optional
	case "file", "elf":
		ok = true
	}
	if !ok {
		return e, fmt.Errorf("%w: %q", ErrSyntax, strings.Join(words, " "))
	}
	return e, nil
}

// expand puts variables into a line and returns one line for each value.
func expand(line string, vars map[string][]string) ([]string, error) {
	before, rest, ok := strings.Cut(line, "${")
	if !ok {
		return []string{line}, nil
	}
	name, _, ok := strings.Cut(rest, "}")
	values, known := vars[name]
	if !ok || !known {
		return nil, fmt.Errorf("%w: %q", ErrVariable, name)
	}
	var lines []string
	for _, v := range values {
		if strings.Contains(v, "${") {
			return nil, fmt.Errorf("%w: a value of %q holds another variable", ErrVariable, name)
		}
		// Every mention of the variable on the line has the same value.
		more, err := expand(before+strings.ReplaceAll("${"+rest, "${"+name+"}", v), vars)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	return lines, nil
}

// builder adds entries to a tree.
type builder struct {
	Options
	dir  string
	tree *tree.Tree
}

// add carries out one entry.
func (b *builder) add(e entry) error {
	switch e.verb {
	case "dir":
		return b.addDir(e)
	case "link":
		return b.tree.Symlink(e.path, e.args[0])
	}
	source, err := b.source(e)
	if errors.Is(err, ErrNoSource) && e.optional {
		return nil
	}
	if err != nil {
		return err
	}
	if err := b.addFile(e.path, source); err != nil || e.verb == "file" {
		return err
	}
	files, err := b.Libraries.Find(source)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := b.addFile(f.Path, f.Source); err != nil {
			return err
		}
	}
	return nil
}

// addDir adds a directory with the mode that the entry may name.
func (b *builder) addDir(e entry) error {
	perm := uint64(0o755)
	if len(e.args) == 1 {
		var err error
		if perm, err = strconv.ParseUint(e.args[0], 8, 9); err != nil {
			return fmt.Errorf("%w: mode %q", ErrSyntax, e.args[0])
		}
	}
	return b.tree.Dir(e.path, fs.FileMode(perm))
}

// addFile adds a copy of a host file: executable by all or by nobody.
func (b *builder) addFile(path, source string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	perm := fs.FileMode(0o644)
	if info.Mode()&0o100 != 0 {
		perm = 0o755
	}
	return b.tree.File(path, source, perm)
}

// source returns the entry's first source that exists, with links resolved.
func (b *builder) source(e entry) (string, error) {
	sources := e.args
	if len(sources) == 0 {
		sources = []string{e.path}
	}
	for _, s := range sources {
		if !filepath.IsAbs(s) {
			s = filepath.Join(b.dir, s)
		}
		real, err := filepath.EvalSymlinks(s)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		return filepath.Abs(real)
	}
	return "", fmt.Errorf("%w for %s: tried %s", ErrNoSource, e.path, strings.Join(sources, ", "))
}
