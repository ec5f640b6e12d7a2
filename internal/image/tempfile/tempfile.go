// Package tempfile makes files and directories under temporary names, to be
// renamed once they are whole. Each is locked by its maker, so that what a
// killed process has left can be told from what a living one is working on.
package tempfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"rkt/internal/fault"
	"rkt/internal/linux"
)

// Prefix is what temporary names begin with. Names that begin with it are
// never used for anything else in the directories that hold them.
const Prefix = ".tmp-"

// maxTries bounds how often a name is tried anew because a sweeper took it.
const maxTries = 100

// errSwept means that a sweeper has removed what was just made, and nobody had
// locked yet.
var errSwept = errors.New("removed by a sweeper")

// Temp is a temporary file or directory that its maker holds a lock on.
type Temp struct {
	// File is the open file or directory.
	File *os.File
	path string
	gone bool // renamed or removed
}

// Create makes an empty file in dir, open for reading and writing, for the
// caller alone.
func Create(dir string) (*Temp, error) {
	return create(dir, func(path string) (*os.File, error) {
		return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	})
}

// CreateDir makes an empty directory in dir, for the caller alone.
func CreateDir(dir string) (*Temp, error) {
	return create(dir, func(path string) (*os.File, error) {
		if err := os.Mkdir(path, 0o700); err != nil {
			return nil, err
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = errSwept
		}
		return f, err
	})
}

func create(dir string, make func(string) (*os.File, error)) (*Temp, error) {
	for range maxTries {
		path := filepath.Join(dir, Prefix+rand.Text())
		f, err := make(path)
		if errors.Is(err, fs.ErrExist) || errors.Is(err, errSwept) {
			continue
		}
		if err != nil {
			return nil, err
		}
		held, err := claim(f, path)
		if held {
			return &Temp{File: f, path: path}, nil
		}
		_ = f.Close()
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("no temporary name is free in %s", dir)
}

// claim locks what was just made. A sweeper may have been faster, and then it
// is gone or about to be.
func claim(f *os.File, path string) (bool, error) {
	ok, err := linux.TryLockExclusive(f)
	if !ok || err != nil {
		return false, err
	}
	return isAt(f, path)
}

// isAt says whether the open file f is what is at path.
func isAt(f *os.File, path string) (bool, error) {
	open, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(open, there), err
}

// Path returns the name of the file as long as it is temporary.
func (t *Temp) Path() string { return t.path }

// Commit makes the content durable and renames it to path, replacing a file
// that is there. The fault points around the rename are named by point. It
// closes File.
func (t *Temp) Commit(path, point string) error {
	if err := t.File.Sync(); err != nil {
		return err
	}
	fault.Point(point + ".before")
	if err := os.Rename(t.path, path); err != nil {
		return err
	}
	t.gone = true
	fault.Point(point + ".after")
	return errors.Join(linux.SyncDir(filepath.Dir(path)), t.File.Close())
}

// Renamed says that the caller has renamed the file. It closes File.
func (t *Temp) Renamed() error {
	t.gone = true
	return t.File.Close()
}

// Adopt returns a Temp for the open file f at path, which the caller has made and
// locked. It has a name of the caller's, so that Sweep passes it over if its
// maker is killed.
func Adopt(f *os.File, path string) *Temp { return &Temp{File: f, path: path} }

// Keep closes File, and with that unlocks it, but leaves it where it is. It may
// always be called and does nothing after Commit and Discard.
func (t *Temp) Keep() {
	if t.gone {
		return
	}
	t.gone = true
	_ = t.File.Close()
}

// Discard removes what was not committed. It may always be called, deferred
// for instance, and does nothing after Commit.
func (t *Temp) Discard() {
	if t.gone {
		return
	}
	t.gone = true
	_ = os.RemoveAll(t.path)
	_ = t.File.Close()
}

// Sweep removes the temporary files and directories in dir whose makers are
// gone. A dir that does not exist has none. Names that this package would not have
// made are passed over, because dir may be one that others use, too.
func Sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !isTemporary(e.Name()) {
			continue
		}
		err := sweep(dir, e.Name())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// isTemporary says whether a name is one of those that Create makes.
func isTemporary(name string) bool {
	text, ok := strings.CutPrefix(name, Prefix)
	return ok && len(text) == len(rand.Text()) && !strings.ContainsFunc(text, func(c rune) bool {
		return (c < 'A' || c > 'Z') && (c < '2' || c > '7') // base32: RFC 4648, 6
	})
}

func sweep(dir, name string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	dead, err := linux.TryLockExclusive(f)
	if !dead || err != nil {
		return err
	}
	parent, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer parent.Close()
	return linux.RemoveTree(parent, name)
}
