package store

import (
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
	// Damaged says that the stored archive was found to be so. What was made
	// of it before may still be good.
	Damaged bool
}

const minIDDigits = 2

// List returns all images, oldest import first. An image that cannot be read
// is left out and reported in damaged.
func (s *Store) List(ctx context.Context) (images []Image, damaged []error, err error) {
	ids, err := s.ids("")
	if err != nil {
		return nil, nil, err
	}
	known := s.catalog()
	for _, id := range ids {
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		img, err := s.getIn(known, id)
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
func (s *Store) get(id string) (*Image, error) { return s.getIn(s.catalog(), id) }

// getIn is get with a catalog to find dependencies in.
func (s *Store) getIn(known *catalog, id string) (*Image, error) {
	r, err := s.readRecord(id)
	if err != nil {
		return nil, err
	}
	m, text, err := s.readManifest(r)
	if err != nil {
		return nil, err
	}
	return &Image{
		ID: id, Manifest: m, ManifestJSON: text, Size: r.Size + s.diskUsage(known, r, m),
		ImportTime: r.ImportTime, LastUsed: r.lastUsed, SignedBy: r.SignedBy, Damaged: r.Damaged,
	}, nil
}

// readManifest returns the manifest of an image, parsed and as it is stored.
func (s *Store) readManifest(r *record) (*appc.ImageManifest, []byte, error) {
	var b []byte
	err := s.attempt(r.ID, func() (err error) {
		b, err = os.ReadFile(s.manifest(r.ID))
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("image %q: manifest %w: it is missing", r.ID, ErrDamaged)
	}
	if err != nil {
		return nil, nil, err
	}
	m, err := appc.ParseImageManifest(b)
	if err != nil {
		return nil, nil, fmt.Errorf("image %q (%s): manifest %w: %w", r.ID, r.Name, ErrDamaged, err)
	}
	return m, b, nil
}

// diskUsage returns how much room the disk made of an image takes, 0 if there
// is none.
func (s *Store) diskUsage(known *catalog, r *record, m *appc.ImageManifest) int64 {
	parts := []*part{{record: r, manifest: m}}
	if len(m.Dependencies) > 0 {
		var err error
		if parts, err = s.parts(known, r, m); err != nil {
			return 0 // nothing can be made of it now
		}
	}
	info, err := os.Stat(filepath.Join(s.diskPath(diskID(parts)), diskFile))
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
// before others if labels has no version. Otherwise ErrNotFound. Images that
// were found damaged count only if there are no others.
func (s *Store) FindByName(name appc.ACIdentifier, labels appc.Labels) (*Image, error) {
	r, err := s.catalog().find(name, labels, func(*record) bool { return true })
	if err != nil {
		return nil, err
	}
	return s.get(r.ID)
}

// manifestJSON returns a manifest in the form that is stored and shown.
func manifestJSON(m *appc.ImageManifest) ([]byte, error) { return json.Marshal(m) }
