package extract_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"rkt/internal/image/archive"
	"rkt/internal/image/extract"
	"rkt/internal/image/imagetest"
)

func to(t *testing.T, entries ...imagetest.Entry) (dir string, err error) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to give files away")
	}
	dir = filepath.Join(t.TempDir(), "in")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	b := imagetest.ACI(t, imagetest.Manifest("example.com/a", "1", nil), entries...)
	return dir, unpack(dir, archive.NewReader(bytes.NewReader(b), archive.Limits{}))
}

// unpack extracts all entries of an archive.
func unpack(dir string, r *archive.Reader) (err error) {
	x, err := extract.New(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return x.Finish()
		}
		if err == nil && !e.Manifest {
			err = x.Add(e.Name, &e.Header, r)
		}
		if err != nil {
			return err
		}
	}
}

// TestStaysInside shows that what points outside is kept as data and never
// followed.
func TestStaysInside(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	for desc, entries := range map[string][]imagetest.Entry{
		"through a link": {imagetest.Symlink("rootfs/l", outside), imagetest.File("rootfs/l/x", "bad")},
		"over a link":    {imagetest.Symlink("rootfs/l", outside+"/x"), imagetest.File("rootfs/l", "good")},
		"linked link":    {imagetest.Symlink("rootfs/l", outside+"/x"), imagetest.Hardlink("rootfs/h", "rootfs/l"), imagetest.File("rootfs/h", "good")},
		"dangling":       {imagetest.Symlink("rootfs/l", "../../../.."+outside+"/x"), imagetest.Fifo("rootfs/l")},
	} {
		dir, err := to(t, entries...)
		if desc == "through a link" && err == nil {
			t.Errorf("%s: accepted", desc)
		}
		if desc != "through a link" && err != nil {
			t.Errorf("%s: %v", desc, err)
		}
		if found, err := os.ReadDir(outside); err != nil || len(found) > 0 {
			t.Errorf("%s: %v, %v", desc, found, err)
		}
		if found, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(found) != 1 {
			t.Errorf("%s: %v, %v", desc, found, err)
		}
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	dir, err := to(t, imagetest.File("rootfs/a/b/c", "1"), imagetest.Dir("rootfs/a"), imagetest.File("rootfs/d/e", "2"),
		imagetest.File("rootfs/a/b/f", "3"), imagetest.Hardlink("rootfs/a/b/g", "rootfs/d/e"), imagetest.File("rootfs/a/b/c", "4"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a/b/c": "4", "d/e": "2", "a/b/f": "3", "a/b/g": "2"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "a")); err != nil || !info.ModTime().Equal(imagetest.Epoch()) {
		t.Errorf("%v, %v", info.ModTime(), err)
	}
}
