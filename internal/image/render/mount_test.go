package render_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"rkt/internal/image/archive"
	"rkt/internal/image/render"
)

// layer returns a layer out of an archive in memory.
func layer(b []byte, change ...func(*render.Layer)) render.Layer {
	l := render.Layer{Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
	for _, f := range change {
		f(&l)
	}
	return l
}

func duplicates(l *render.Layer) { l.Duplicates = true }

func whitelist(paths ...string) func(*render.Layer) {
	w := render.NewWhitelist(paths)
	return func(l *render.Layer) { l.Keep, l.Dirs = w.Keeps, w.Dirs() }
}

// ext4 renders layers to a file and returns its name.
func ext4(t testing.TB, layers ...render.Layer) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.ext4")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return path, render.Ext4(context.Background(), f, layers, archive.Limits{})
}

// mustExt4 renders layers and has the file system checked by its owners.
func mustExt4(t testing.TB, layers ...render.Layer) string {
	t.Helper()
	path, err := ext4(t, layers...)
	if err != nil {
		t.Fatal(err)
	}
	fsck, err := exec.LookPath("e2fsck")
	if err != nil {
		t.Log("not checked: needs e2fsck")
		return path
	}
	out, err := exec.Command(fsck, "-fn", path).CombinedOutput()
	var exit *exec.ExitError
	// Status 4 is for the padding at the end of inode bitmaps, which the
	// kernel doesn't look at.
	if errors.As(err, &exit) && exit.ExitCode() == 4 && bytes.Contains(out, []byte("Padding at end of inode bitmap is not set")) &&
		bytes.Count(out, []byte("? no")) == 1 {
		return path
	}
	if err != nil {
		t.Errorf("e2fsck: %v\n%s", err, out)
	}
	return path
}

// node is what a mounted file system says of one path.
type node struct {
	Type         byte
	Mode         int64
	UID, GID     int
	Link         string
	Data         string
	Major, Minor int64
	Mtime        string
	Xattrs       map[string]string
}

// read mounts an image in a mount namespace of its own and returns what GNU tar
// sees in it, by path.
func read(t testing.TB, path string) map[string]node {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	const script = `mount -o ro,loop "$1" "$2" || exit 32
		exec tar --format=posix --xattrs --xattrs-include='*' --sort=name -C "$2" -cf - .`
	cmd := exec.Command("unshare", "--mount", "sh", "-c", script, "sh", path, t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 32 {
		t.Skipf("needs loop mounts: %s", &stderr)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	return parse(t, out)
}

func parse(t testing.TB, b []byte) map[string]node {
	t.Helper()
	nodes := make(map[string]node)
	r := tar.NewReader(bytes.NewReader(b))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nodes
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		nodes[filepath.Clean(h.Name)] = node{
			Type: h.Typeflag, Mode: h.Mode, UID: h.Uid, GID: h.Gid, Link: h.Linkname, Data: string(data),
			Major: h.Devmajor, Minor: h.Devminor, Mtime: h.ModTime.UTC().Format("2006-01-02T15:04:05.999999999"),
			Xattrs: archive.Xattrs(h),
		}
	}
}
