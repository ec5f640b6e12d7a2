package store

import (
	"context"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/image/archive"
	"rkt/internal/image/tempfile"
	"rkt/internal/linux"
)

// validatorExtension is added to the name of a download for that of its
// validator, and lockExtension for that of the lock on it.
const (
	validatorExtension = ".validator"
	lockExtension      = ".lock"
)

// abandonedAfter is how long a part of a download is kept for somebody to go on.
const abandonedAfter = 7 * 24 * time.Hour

// Validator tells one version of what is at a URL from another, in the words of
// the server's headers: RFC 9110, 8.8.
type Validator struct {
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
}

// Download is an Incoming that belongs to a URL. It is under a name of its own,
// so that a part of it, left by somebody who was cut off or killed, is there for
// the next one.
type Download struct {
	*Incoming
	lock      *lock // nil once the use has ended
	size      int64
	validator string // path of the file with the validator
}

// OpenDownload returns the download of a URL, with the part that is there. Only
// one may be open at a time, in whatever process; waiting is called if that has
// to be waited for.
func (s *Store) OpenDownload(ctx context.Context, url string, waiting func()) (*Download, error) {
	path := filepath.Join(s.temporary(), urlKey(url))
	l, err := lockPath(ctx, path+lockExtension, waiting)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, fileMode)
	if err != nil {
		l.release()
		return nil, err
	}
	d := &Download{
		Incoming: &Incoming{temp: tempfile.Adopt(f, path), store: s},
		lock:     l, validator: path + validatorExtension,
	}
	if d.size, err = f.Seek(0, io.SeekEnd); err == nil {
		d.room, err = s.room(d.size)
	}
	if err != nil {
		d.Discard()
		return nil, err
	}
	return d, nil
}

// urlKey returns the name of the files about a URL.
func urlKey(url string) string {
	digest := sha512.Sum512([]byte(url))
	return archive.ID(digest[:])
}

// Size returns how many bytes are there.
func (d *Download) Size() int64 { return d.size }

// CheckRoom says whether so many bytes more may come: ErrNoSpace, or
// archive.ErrTooLarge if it is the image that is too large.
func (d *Download) CheckRoom(bytes int64) error {
	if bytes > d.room {
		return d.store.explainImport(archive.ErrTooLarge)
	}
	return nil
}

// Write adds to the download. It may fail as CheckRoom does.
func (d *Download) Write(p []byte) (int, error) {
	n, err := d.Incoming.Write(p)
	d.size += int64(n)
	return n, err
}

// Validator returns what the part that is there was sent with. The zero value
// means that it is not known.
func (d *Download) Validator() Validator {
	var v Validator
	b, err := os.ReadFile(d.validator)
	if err != nil || json.Unmarshal(b, &v) != nil {
		return Validator{}
	}
	return v
}

// Restart empties the download for something that has the given validator.
func (d *Download) Restart(v Validator) error {
	if err := removeFile(d.validator); err != nil {
		return err
	}
	if err := d.temp.File.Truncate(0); err != nil {
		return err
	}
	d.room += d.size
	d.size = 0
	if _, err := d.temp.File.Seek(0, io.SeekStart); err != nil || v == (Validator{}) {
		return err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return d.store.writeFile(d.validator, b, "download.validator")
}

// Keep ends the use of a download that is to be gone on with, and Discard that
// of one that is not. The first of the two that is called counts, and neither
// does anything to what was imported.
func (d *Download) Keep() {
	if d.lock == nil || d.size == 0 || d.Validator() == (Validator{}) {
		d.Discard()
		return
	}
	d.temp.Keep()
	d.end()
}

// Discard ends the use of a download; see Keep.
func (d *Download) Discard() {
	if d.lock == nil {
		return
	}
	_ = removeFile(d.validator)
	d.Incoming.Discard()
	d.end()
}

func (d *Download) end() {
	d.lock.release()
	d.lock = nil
}

// sweepDownloads removes parts of downloads that nobody went on with for long.
func (s *Store) sweepDownloads(now time.Time) error {
	entries, err := os.ReadDir(s.temporary())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), archive.IDPrefix) {
			continue
		}
		info, err := e.Info()
		if err == nil {
			err = s.sweepDownload(e.Name(), now.Sub(info.ModTime()) > abandonedAfter)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

// sweepDownload removes a file of a download that nobody uses: a lock, what is old,
// or the validator of what has become an image before its maker was killed.
func (s *Store) sweepDownload(name string, old bool) error {
	base, isLock := strings.CutSuffix(name, lockExtension)
	base, isValidator := strings.CutSuffix(base, validatorExtension)
	path := filepath.Join(s.temporary(), base)
	orphan := func() bool {
		_, err := os.Lstat(path)
		return isValidator && errors.Is(err, fs.ErrNotExist)
	}
	if !isLock && !old && !orphan() {
		return nil
	}
	f, err := os.OpenFile(path+lockExtension, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, fileMode)
	if err != nil {
		return err
	}
	if free, err := linux.TryLockExclusive(f); !free {
		return errors.Join(err, f.Close())
	}
	l := heldAt(f, path+lockExtension)
	if l == nil {
		return nil
	}
	defer l.release()
	switch {
	case isLock:
		return nil
	case old:
		return errors.Join(removeFile(path+validatorExtension), removeFile(path))
	case orphan(): // still
		return removeFile(path + validatorExtension)
	}
	return nil
}
