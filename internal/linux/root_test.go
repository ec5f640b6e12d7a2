package linux_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"rkt/internal/linux"
)

func openRoot(t *testing.T, path string) linux.Root {
	t.Helper()
	r, err := linux.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestRootKeepsLinksInside(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	write(t, filepath.Join(outside, "secret"))
	inside := t.TempDir()
	if err := os.Mkdir(filepath.Join(inside, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(inside, "etc", "passwd"), []byte("inside"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"absolute": "/etc/passwd",
		"up":       "../../../../../../etc/passwd",
		"out":      filepath.Join(outside, "secret"),
		"dir":      "/etc",
	} {
		if err := os.Symlink(target, filepath.Join(inside, link)); err != nil {
			t.Fatal(err)
		}
	}
	r := openRoot(t, inside)
	for _, name := range []string{"absolute", "up", "/dir/passwd", "../../etc/passwd", "/etc/passwd"} {
		f, err := r.Open(name, os.O_RDONLY, 0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if b, err := io.ReadAll(f); err != nil || string(b) != "inside" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		f.Close()
	}
	if _, err := r.Open("out", os.O_RDONLY, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link that leads out: %v, want not found", err)
	}
}

func TestRootEnsures(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	if err := os.Mkdir(filepath.Join(top, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/real", filepath.Join(top, "link")); err != nil {
		t.Fatal(err)
	}
	r := openRoot(t, top)
	for range 2 {
		dir, err := r.EnsureDir("/link/a/b", fs.ModeSticky|0o777)
		if err != nil {
			t.Fatal(err)
		}
		dir.Close()
		file, err := r.EnsureFile("/link/a/file", 0o644)
		if err != nil {
			t.Fatal(err)
		}
		file.Close()
	}
	st, err := os.Stat(filepath.Join(top, "real/a/b"))
	if err != nil || st.Mode() != fs.ModeDir|fs.ModeSticky|0o777 {
		t.Errorf("made directory: %v, %v", st, err)
	}
	if st, err := os.Stat(filepath.Join(top, "real")); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("directory that was there: %v, %v", st, err)
	}
	if st, err := r.Stat("link/a/file"); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		t.Errorf("made file: %v, %v", st.Mode, err)
	}
}
