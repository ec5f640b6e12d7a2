package treecopy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rkt/internal/treecopy"
)

// list describes a tree: what find(1) says of it, the times of directories aside,
// and what is in the files.
func list(t *testing.T, dir string) string {
	t.Helper()
	const script = `find . -type d -printf '%P %y %m %U %G\n' -o -printf '%P %y %m %U %G %n %l %T@ %s\n' | sort
		find . -type f | sort | xargs sha256sum`
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func copyOf(t *testing.T, from string) string {
	t.Helper()
	f, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	to := filepath.Join(t.TempDir(), "made", "copy")
	for range 2 { // the second time over what the first one has left
		if err := treecopy.Copy(to, f); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func TestCopy(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root to give files away")
	}
	from := t.TempDir()
	const script = `mkdir -m 1777 tmp; mkdir -p -m 700 a/b; echo text >a/b/file; ln a/b/file hard; ln -s /etc/passwd soft
		ln -s nowhere a/dangling; mkfifo pipe; cp /bin/true setid; chown 12:34 setid a; chmod 4751 setid; touch -d @1 a/b/file
		mkdir lost+found; mkdir lost; truncate -s 1M holes`
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Dir = from
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := unix.Setxattr(filepath.Join(from, "setid"), "user.note", []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	to := copyOf(t, from)
	if err := os.Remove(filepath.Join(from, "lost+found")); err != nil {
		t.Fatal(err)
	}
	if got, want := list(t, to), list(t, from); got != want {
		t.Errorf("the copy:\n%s\nthe tree:\n%s", got, want)
	}
	value := make([]byte, 1)
	if n, err := unix.Getxattr(filepath.Join(to, "setid"), "user.note", value); n != 1 || err != nil {
		t.Errorf("extended attribute: %d, %v", n, err)
	}
}

// What is in a directory of that name is the image's own.
func TestCopyKeepsWhatWasFound(t *testing.T) {
	t.Parallel()
	from := t.TempDir()
	if err := os.MkdirAll(filepath.Join(from, "lost+found", "treasure"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(copyOf(t, from), "lost+found", "treasure")); err != nil {
		t.Error(err)
	}
}

func TestCopyOfWhatIsNoDirectory(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	err = treecopy.Copy(filepath.Join(t.TempDir(), "copy"), null)
	if err == nil || !strings.Contains(err.Error(), "not directory") {
		t.Errorf("error %v", err)
	}
}
