package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/appc"
	"rkt/internal/image/archive"
	"rkt/internal/image/tempfile"
)

// recordVersion is the version of the records that this package writes.
const recordVersion = 1

// maxRecord bounds the size of a record in bytes.
const maxRecord = 1 << 20

// record is what the index knows of an image. The time of its last use is the
// modification time of the record's file, so that noting it rewrites nothing.
type record struct {
	Version     int                 `json:"version"`
	ID          string              `json:"id"`
	Name        appc.ACIdentifier   `json:"name"`
	Labels      appc.Labels         `json:"labels"`
	ImportTime  time.Time           `json:"importTime"`
	Size        int64               `json:"size"`   // of the blob
	SHA256      string              `json:"sha256"` // of the blob
	Plain       int64               `json:"plainSize"`
	Compression archive.Compression `json:"compression"`
	Duplicates  bool                `json:"duplicates,omitempty"`
	Latest      bool                `json:"latest,omitempty"`
	SignedBy    string              `json:"signedBy,omitempty"`
	Damaged     bool                `json:"damaged,omitempty"` // the blob was found so

	lastUsed time.Time
}

// readRecord returns the record of an image: ErrNotFound if there is none.
func (s *Store) readRecord(id string) (*record, error) {
	f, err := os.Open(s.recordFile(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return nil, err
	}
	r := &record{lastUsed: info.ModTime()}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("image %q: record %w: %w", id, ErrDamaged, err)
	}
	if r.Version != recordVersion || r.ID != id {
		return nil, fmt.Errorf("image %q: record %w: it has version %d and is for %q", id, ErrDamaged, r.Version, r.ID)
	}
	return r, nil
}

func (s *Store) writeRecord(r *record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.writeFile(s.recordFile(r.ID), append(b, '\n'), "store.record")
}

// writeFile writes a whole file under its name, or nothing. The fault points
// are named by point.
func (s *Store) writeFile(path string, b []byte, point string) error {
	tmp, err := tempfile.Create(s.temporary())
	if err != nil {
		return err
	}
	defer tmp.Discard()
	if _, err := io.Copy(tmp.File, bytes.NewReader(b)); err != nil {
		return err
	}
	return commit(tmp, path, point)
}

// commit gives a temporary file its mode and its name, in a directory that is
// made if it is missing.
func commit(tmp *tempfile.Temp, path, point string) error {
	if err := tmp.File.Chmod(fileMode); err != nil {
		return err
	}
	for _, dir := range []string{filepath.Dir(filepath.Dir(path)), filepath.Dir(path)} {
		if err := mkdir(dir, dirMode); err != nil {
			return err
		}
	}
	return tmp.Commit(path, point)
}

// touch notes that the image is used now. One that was removed meanwhile needs
// no note, and who may only read the store can't leave one.
func (s *Store) touch(id string) error {
	// Now, and not a time of ours, because that only the owner may set.
	now := []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	err := unix.UtimesNanoAt(unix.AT_FDCWD, s.recordFile(id), now, 0)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return &os.PathError{Op: "utimes", Path: s.recordFile(id), Err: err}
}

// ArchiveSize returns how many bytes the archive of the image with the given
// whole id has, as it was fetched and uncompressed.
func (s *Store) ArchiveSize(id string) (packed, plain int64, err error) {
	r, err := s.readRecord(id)
	if err != nil {
		return 0, 0, err
	}
	return r.Size, r.Plain, nil
}
