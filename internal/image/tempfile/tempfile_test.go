package tempfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"rkt/internal/image/tempfile"
)

func TestCommit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, content := range []string{"one", "two"} {
		tmp, err := tempfile.Create(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer tmp.Discard()
		if _, err := tmp.File.WriteString(content); err != nil {
			t.Fatal(err)
		}
		if err := tmp.Commit(path, "test"); err != nil {
			t.Fatal(err)
		}
		tmp.Discard()
		if b, err := os.ReadFile(path); err != nil || string(b) != content {
			t.Errorf("%q, %v", b, err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left: %v", entries)
	}
}

func TestSweepSparesTheLiving(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	living, err := tempfile.CreateDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	dead, err := tempfile.CreateDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dead.Path(), "a/b"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := dead.File.Close(); err != nil { // as the end of its process would
		t.Fatal(err)
	}
	others := []string{tempfile.Prefix + "other", tempfile.Prefix + "other-than-26-of-base32.", "other"}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fifo := filepath.Join(dir, tempfile.Prefix+strings.Repeat("A", 26))
	if err := unix.Mkfifo(fifo, 0o600); err != nil { // nobody may be kept waiting by one
		t.Fatal(err)
	}
	if err := tempfile.Sweep(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead.Path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the leftover is still there: %v", err)
	}
	if _, err := os.Stat(living.Path()); err != nil {
		t.Errorf("a directory in use was removed: %v", err)
	}
	living.Discard()
	if entries, _ := os.ReadDir(dir); len(entries) != len(others) {
		t.Errorf("left: %v", entries)
	}
	if err := tempfile.Sweep(filepath.Join(dir, "missing")); err != nil {
		t.Errorf("a missing directory: %v", err)
	}
}

// TestCreateAgainstSweep shows that a sweeper never takes a file from its
// maker, however close they come.
func TestCreateAgainstSweep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stop := make(chan struct{})
	var sweepers sync.WaitGroup
	sweepers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := tempfile.Sweep(dir); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for range 500 {
		made, err := tempfile.CreateDir(dir)
		if err != nil {
			t.Error(err)
			break
		}
		made.Discard()
		tmp, err := tempfile.Create(dir)
		if err != nil {
			t.Error(err)
			break
		}
		if err := tmp.Commit(filepath.Join(dir, "file"), "test"); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	sweepers.Wait()
}
