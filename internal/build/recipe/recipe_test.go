package recipe

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write puts a recipe and a few sources into a directory and returns the
// recipe's path.
func write(t *testing.T, recipe string) string {
	t.Helper()
	dir := t.TempDir()
	for name, perm := range map[string]os.FileMode{"one.bin": 0o700, "two.bin": 0o600} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), perm); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "recipe")
	if err := os.WriteFile(path, []byte(recipe), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBuild(t *testing.T) {
	t.Parallel()
	path := write(t, `# a recipe
dir /root 700
link lib usr/lib   # a comment
file /usr/bin/one none.bin one.bin
file /fw/${n}.rom ${n}.bin
optional file /gone none.bin
`)
	tr, err := Build(path, Options{Vars: map[string][]string{"n": {"one", "two"}}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range tr.Entries() {
		got = append(got, fmt.Sprintf("%s %s %s%s", e.Mode, e.Path, filepath.Base(e.Source), e.Target))
	}
	want := []string{
		"drwxr-xr-x fw .",
		"-rwxr-xr-x fw/one.rom one.bin",
		"-rw-r--r-- fw/two.rom two.bin",
		"Lrwxrwxrwx lib .usr/lib",
		"drwx------ root .",
		"drwxr-xr-x usr .",
		"drwxr-xr-x usr/bin .",
		"-rwxr-xr-x usr/bin/one one.bin",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	for recipe, want := range map[string]error{
		"copy a b":         ErrSyntax,
		"file":             ErrSyntax,
		"optional dir /a":  ErrSyntax,
		"link a":           ErrSyntax,
		"dir a 9":          ErrSyntax,
		"dir a 7777":       ErrSyntax,
		"file ${x}":        ErrVariable,
		"file ${":          ErrVariable,
		"file ${nested}":   ErrVariable,
		"file /a none.bin": ErrNoSource,
		"file /../a":       ErrNoSource,
	} {
		_, err := Build(write(t, recipe), Options{Vars: map[string][]string{"nested": {"${nested}"}}})
		if !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", recipe, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("dir /a 755\nlink b c\n")
	f.Add("optional elf /x/${a} ${a} ${b}${a}")
	f.Add("file ${")
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := parse(strings.NewReader(text), map[string][]string{"a": {"1", "2"}, "b": {"x"}, "": nil})
		for _, e := range entries {
			if err != nil || e.path == "" {
				t.Errorf("entry %+v with error %v", e, err)
			}
		}
	})
}
