package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"rkt/internal/appc"
	"rkt/internal/image/archive"
	"rkt/internal/image/tempfile"
)

// Image is a stored image.
type Image struct {
	ID           string // "sha512-" and 64 hex digits
	Manifest     *appc.ImageManifest
	ManifestJSON []byte // as Manifest marshals, compact
	Size         int64  // of the archive and of the disk made of it
	ImportTime   time.Time
	LastUsed     time.Time
	// SignedBy is the fingerprint of the key that vouched for the image when
	// it was imported, empty if nobody did.
	SignedBy string
}

const minIDDigits = 2

// List returns all images, oldest import first. An image that cannot be read
// is left out and reported in damaged.
func (s *Store) List(ctx context.Context) (images []Image, damaged []error, err error) {
	ids, err := s.ids("")
	if err != nil {
		return nil, nil, err
	}
	for _, id := range ids {
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		img, err := s.get(id)
		switch {
		case errors.Is(err, ErrNotFound): // removed meanwhile
		case err != nil:
			damaged = append(damaged, err)
		default:
			images = append(images, *img)
		}
	}
	slices.SortStableFunc(images, func(a, b Image) int { return a.ImportTime.Compare(b.ImportTime) })
	return images, damaged, nil
}

// Get returns the image with the given id. Anything from two hex digits of it
// on will do if no other begins alike: ErrNotFound, ErrIDTooShort,
// ErrAmbiguous.
func (s *Store) Get(id string) (*Image, error) {
	full, err := s.resolve(id)
	if err != nil {
		return nil, err
	}
	return s.get(full)
}

// resolve returns the whole id that begins with id.
func (s *Store) resolve(id string) (string, error) {
	id = appc.Hash(id).Key()
	if !appc.IsHash(id) {
		return "", ErrNotFound
	}
	if len(id) < len(archive.IDPrefix)+minIDDigits {
		return "", ErrIDTooShort
	}
	ids, err := s.ids(id)
	switch {
	case err != nil:
		return "", err
	case len(ids) == 0:
		return "", ErrNotFound
	case len(ids) > 1:
		return "", ErrAmbiguous
	}
	return ids[0], nil
}

// ids returns the ids of all images that begin with prefix.
func (s *Store) ids(prefix string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, indexDir))
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && !strings.HasPrefix(e.Name(), tempfile.Prefix) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// get returns the image with the given whole id.
func (s *Store) get(id string) (*Image, error) {
	r, err := s.readRecord(id)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(s.manifest(id))
	if errors.Is(err, fs.ErrNotExist) {
		if _, recordErr := s.readRecord(id); recordErr != nil {
			return nil, recordErr // removed meanwhile
		}
		return nil, fmt.Errorf("image %q: manifest %w: it is missing", id, ErrDamaged)
	}
	if err != nil {
		return nil, err
	}
	m, err := appc.ParseImageManifest(b)
	if err != nil {
		return nil, fmt.Errorf("image %q (%s): manifest %w: %w", id, r.Name, ErrDamaged, err)
	}
	return &Image{
		ID: id, Manifest: m, ManifestJSON: b, Size: r.Size + s.diskUsage(id),
		ImportTime: r.ImportTime, LastUsed: r.lastUsed, SignedBy: r.SignedBy,
	}, nil
}

// diskUsage returns how much room the disk made of an image takes, 0 if there
// is none.
func (s *Store) diskUsage(id string) int64 {
	info, err := os.Stat(filepath.Join(s.diskPath(diskID(id)), diskFile))
	if err != nil {
		return 0
	}
	const statBlock = 512
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * statBlock
	}
	return info.Size()
}

// FindByName returns the image with the given name that has all the given
// labels: of several the one imported last, and one fetched as the latest
// before others if labels has no version. Otherwise ErrNotFound.
func (s *Store) FindByName(name appc.ACIdentifier, labels appc.Labels) (*Image, error) {
	ids, err := s.ids("")
	if err != nil {
		return nil, err
	}
	var matches []*record
	for _, id := range ids {
		r, err := s.readRecord(id)
		if err != nil || r.Name != name || !hasLabels(r.Labels, labels) {
			continue // a damaged record is List's to report
		}
		matches = append(matches, r)
	}
	if len(matches) == 0 {
		return nil, ErrNotFound
	}
	_, versioned := labels.Get("version")
	best := slices.MaxFunc(matches, func(a, b *record) int {
		if !versioned && a.Latest != b.Latest {
			return cmp.Compare(boolInt(a.Latest), boolInt(b.Latest))
		}
		return a.ImportTime.Compare(b.ImportTime)
	})
	return s.get(best.ID)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func hasLabels(have, want appc.Labels) bool {
	for _, l := range want {
		if value, ok := have.Get(string(l.Name)); !ok || value != l.Value {
			return false
		}
	}
	return true
}

// manifestJSON returns a manifest in the form that is stored and shown.
func manifestJSON(m *appc.ImageManifest) ([]byte, error) { return json.Marshal(m) }
