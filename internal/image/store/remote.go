package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Remote is what is known of an image that was fetched from a URL.
type Remote struct {
	Version int    `json:"version"`
	URL     string `json:"url"`
	// Signature is the URL of the signature, empty if none was asked for.
	Signature string `json:"signature,omitempty"`
	// ETag is what the server calls this version of the image, empty if it
	// doesn't say.
	ETag string `json:"etag,omitempty"`
	// MaxAge is for how many seconds from Downloaded the server says that the
	// image does not change.
	MaxAge     int64     `json:"maxAge,omitempty"`
	Downloaded time.Time `json:"downloaded"`
	ID         string    `json:"id"` // of the image
}

// Fresh says whether the server has said that the image does not change before
// now.
func (r *Remote) Fresh(now time.Time) bool {
	age := now.Sub(r.Downloaded)
	return age >= 0 && age < time.Duration(r.MaxAge)*time.Second
}

// maxAge bounds for how long a server is believed, in seconds: a year, as RFC
// 9111 once advised servers not to exceed.
const maxAge = 365 * 24 * 60 * 60

func (s *Store) remoteFile(url string) string { return filepath.Join(s.dir, remoteDir, urlKey(url)) }

// Remote returns what is known of a URL: ErrNotFound if that is nothing, or if
// the image is not there any more. A record that can't be read is as good as
// none.
func (s *Store) Remote(url string) (*Remote, error) {
	f, err := os.Open(s.remoteFile(url))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return nil, err
	}
	var r Remote
	if json.Unmarshal(b, &r) != nil || r.Version != recordVersion || r.URL != url {
		return nil, fmt.Errorf("%w: the record of %q is damaged", ErrNotFound, url)
	}
	if _, err := s.readRecord(r.ID); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return &r, nil
}

// SetRemote notes what is known of a URL.
func (s *Store) SetRemote(r Remote) error {
	r.Version = recordVersion
	r.MaxAge = min(max(r.MaxAge, 0), maxAge)
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.writeFile(s.remoteFile(r.URL), append(b, '\n'), "store.remote")
}

// forgetRemotes removes what is known of the URLs of an image.
func (s *Store) forgetRemotes(id string) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, remoteDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(s.dir, remoteDir, e.Name())
		var r Remote
		b, err := os.ReadFile(path)
		if err == nil && json.Unmarshal(b, &r) == nil && r.ID != id {
			continue
		}
		if err := removeFile(path); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}
