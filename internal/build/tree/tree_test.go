package tree

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sample returns a tree with one entry of each kind.
func sample(t *testing.T) *Tree {
	t.Helper()
	source := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(source, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	tr := New()
	for _, err := range []error{
		tr.File("/usr/bin/b", source, 0o755),
		tr.File("usr/bin/a", source, 0o755),
		tr.File("usr/bin-a", source, 0o644),
		tr.Data("/etc/passwd", "root\n", 0o644),
		tr.Symlink("lib", "usr/lib"),
		tr.Dir("tmp", 0o777),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return tr
}

func TestWriteACI(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	if err := sample(t).WriteACI(&buf, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"0 manifest 644 2 ", "5 rootfs/ 755 0 ",
		"5 rootfs/etc/ 755 0 ", "0 rootfs/etc/passwd 644 5 ",
		"2 rootfs/lib 777 0 usr/lib",
		"5 rootfs/tmp/ 777 0 ",
		"5 rootfs/usr/ 755 0 ",
		"5 rootfs/usr/bin/ 755 0 ",
		"0 rootfs/usr/bin/a 755 7 ",
		"1 rootfs/usr/bin/b 755 0 rootfs/usr/bin/a",
		"0 rootfs/usr/bin-a 644 7 ",
	}
	if diff := cmp.Diff(want, listTar(t, &buf)); diff != "" {
		t.Errorf("archive (-want +got):\n%s", diff)
	}
}

// listTar describes every entry of an archive in a line, and checks what all
// have in common.
func listTar(t *testing.T, r io.Reader) []string {
	t.Helper()
	var lines []string
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.ModTime.Unix() != 0 || len(h.PAXRecords) > 0 {
			t.Errorf("%s: owner, time or records would differ between builds: %+v", h.Name, h)
		}
		lines = append(lines, fmt.Sprintf("%c %s %o %d %s", h.Typeflag, h.Name, h.Mode, h.Size, h.Linkname))
	}
}

func TestWriteDir(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "out")
	if err := sample(t).WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	a, err := os.Stat(filepath.Join(dir, "usr/bin/a"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.Stat(filepath.Join(dir, "usr/bin/b"))
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(a, b) || a.Mode().Perm() != 0o755 {
		t.Errorf("a and b are not one file with mode 0755: %v %v", a.Mode(), b.Mode())
	}
	if target, err := os.Readlink(filepath.Join(dir, "lib")); err != nil || target != "usr/lib" {
		t.Errorf("lib -> %q, %v", target, err)
	}
}

func TestConflicts(t *testing.T) {
	t.Parallel()
	for name, add := range map[string]func(*Tree) error{
		"other content":    func(tr *Tree) error { return tr.Data("etc/passwd", "other", 0o644) },
		"directory":        func(tr *Tree) error { return tr.Dir("etc/passwd", 0o755) },
		"below a file":     func(tr *Tree) error { return tr.Data("etc/passwd/x", "", 0o644) },
		"below a link":     func(tr *Tree) error { return tr.Data("lib/x", "", 0o644) },
		"link over a file": func(tr *Tree) error { return tr.Symlink("etc/passwd", "x") },
	} {
		if err := add(sample(t)); !errors.Is(err, ErrConflict) {
			t.Errorf("%s: got %v, want ErrConflict", name, err)
		}
	}
	if err := New().Data("../x", "", 0o644); err == nil {
		t.Error("a path out of the tree was accepted")
	}
}

func TestGraft(t *testing.T) {
	t.Parallel()
	tr := New()
	if err := tr.Graft("machine", sample(t)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range tr.Entries() {
		got = append(got, e.Path)
	}
	want := []string{
		"machine", "machine/etc", "machine/etc/passwd", "machine/lib", "machine/tmp", "machine/usr",
		"machine/usr/bin", "machine/usr/bin/a", "machine/usr/bin/b", "machine/usr/bin-a",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}
