package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"rkt/internal/errhint"
	"rkt/internal/image/archive"
	"rkt/internal/image/render"
)

// openPlain opens the uncompressed archive of an image. The reader ends with
// an error instead of io.EOF if its content is not that of the image.
func (s *Store) openPlain(ctx context.Context, id string) (io.ReadCloser, error) {
	f, err := s.openBlob(id)
	if err != nil {
		return nil, err
	}
	plain, _, err := archive.Decompress(archive.WithContext(ctx, f))
	if err != nil {
		return nil, errors.Join(damaged(id, err), f.Close())
	}
	return &plainReader{archive.Verified(plain, id), f}, nil
}

// openBlob opens the stored archive of an image: ErrNotFound if the image was
// removed since its record was read, and ErrDamaged if only the archive is gone.
func (s *Store) openBlob(id string) (*os.File, error) {
	var f *os.File
	err := s.attempt(id, func() (err error) {
		f, err = os.Open(s.blob(id))
		return err
	})
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, ErrNotFound):
		return nil, fmt.Errorf("image %q was removed meanwhile: %w", id, err)
	}
	return nil, damaged(id, err)
}

// attempt opens or reads a file of an image whose record was there. If that fails
// it may be because the image was removed meanwhile, ErrNotFound, or removed and
// imported again.
func (s *Store) attempt(id string, open func() error) (err error) {
	const tries = 3 // one is enough for a store that nobody changes
	for range tries {
		if err = open(); err == nil {
			return nil
		}
		if _, gone := s.readRecord(id); gone != nil {
			return gone
		}
	}
	return err
}

type plainReader struct {
	io.Reader
	f *os.File
}

func (p *plainReader) Close() error { return p.f.Close() }

// damaged says that the stored archive of an image cannot be used because of
// err.
func damaged(id string, err error) error {
	return errhint.With(fmt.Errorf("image %q: %w: %w", id, ErrDamaged, err), "fetch the image again")
}

// explainBlob classes the errors of reading a stored archive. It was found
// good when it was imported, so whatever is wrong with it came later.
func explainBlob(id string, err error) error {
	if errors.Is(err, archive.ErrInvalid) || errors.Is(err, archive.ErrDigest) {
		return damaged(id, err)
	}
	return err
}

// explainLayer is explainBlob for an error of rendering several.
func explainLayer(parts []*part, err error) error {
	var bad *render.LayerError
	if errors.As(err, &bad) {
		return explainBlob(parts[bad.Layer].record.ID, err)
	}
	return err
}
