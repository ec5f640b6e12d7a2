package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"rkt/internal/appc"
	"rkt/internal/image/archive"
	"rkt/internal/image/extract"
	"rkt/internal/image/render"
)

// Verification is what Verify has found besides that the archive is good.
type Verification struct {
	// Rendered says that something was made of the image: a disk or a tree.
	Rendered bool
	// Rebuilt is why that was not what it should be, and was made again.
	Rebuilt error
}

// Verify reads the stored archive of the image with the given whole id, and
// what was made of it, and compares both with what they should be: ErrDamaged
// if the archive is not. An image that is damaged is noted as such until it is
// fetched again. A damaged disk or tree is made again.
func (s *Store) Verify(ctx context.Context, id string) (Verification, error) {
	id = appc.Hash(id).Key()
	if err := s.verifyArchive(ctx, id); err != nil {
		return Verification{}, err
	}
	parts, err := s.renderable(id)
	if err != nil {
		return Verification{}, err
	}
	disk, err := s.verifyDisk(ctx, parts)
	if err != nil {
		return Verification{}, err
	}
	tree, err := s.verifyTree(ctx, parts)
	return Verification{disk.Rendered || tree.Rendered, errors.Join(disk.Rebuilt, tree.Rebuilt)}, err
}

// verifyArchive verifies the archive of an image and notes what comes of it.
func (s *Store) verifyArchive(ctx context.Context, id string) (err error) {
	r, f, err := s.openRecorded(ctx, id)
	if r == nil {
		return err
	}
	if err == nil {
		err = errors.Join(verifyBlob(ctx, r, f), f.Close())
	}
	if marked := errors.Is(err, ErrDamaged); marked != r.Damaged && (err == nil || marked) {
		err = errors.Join(err, s.mark(ctx, r, marked))
	}
	return err
}

// openRecorded returns the record of an image, nil if there is none, and its
// archive, open. They belong together, whoever imports the image again meanwhile,
// compressed in another way.
func (s *Store) openRecorded(ctx context.Context, id string) (*record, *os.File, error) {
	l, err := s.lock(ctx, lockDir, id)
	if err != nil {
		return nil, nil, err
	}
	defer l.release()
	r, err := s.readRecord(id)
	if err != nil {
		return nil, nil, fmt.Errorf("image %q: %w", id, err)
	}
	f, err := s.openBlob(id)
	return r, f, err
}

// verifyBlob compares the stored bytes with what the record says, and what they
// hold with the id.
func verifyBlob(ctx context.Context, r *record, f io.Reader) error {
	digest := sha256.New()
	bytes := io.TeeReader(archive.WithContext(ctx, f), digest)
	plain, _, err := archive.Decompress(bytes)
	if err == nil {
		_, err = io.Copy(io.Discard, archive.Verified(plain, r.ID))
	}
	if err == nil {
		_, err = io.Copy(io.Discard, bytes)
	}
	if err != nil {
		return explainBlob(r.ID, err)
	}
	if hex.EncodeToString(digest.Sum(nil)) != r.SHA256 {
		return damaged(r.ID, errors.New("it holds what it should, but is not the file that was fetched"))
	}
	return nil
}

// mark notes in its record whether an image is damaged, unless it was imported
// again since that record was read.
func (s *Store) mark(ctx context.Context, verified *record, damaged bool) error {
	l, err := s.lock(ctx, lockDir, verified.ID)
	if err != nil {
		return err
	}
	defer l.release()
	r, err := s.readRecord(verified.ID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || !r.ImportTime.Equal(verified.ImportTime) {
		return err
	}
	r.Damaged = damaged
	return s.writeRecord(r)
}

func (s *Store) verifyDisk(ctx context.Context, parts []*part) (Verification, error) {
	path := s.diskPath(renderedID(render.Version, parts))
	if _, err := os.Lstat(path); err != nil {
		return Verification{}, ignoreMissing(err)
	}
	l, err := s.lock(ctx, treeLockDir, filepath.Base(path))
	if err != nil {
		return Verification{}, err
	}
	defer l.release()
	_, bad := s.checkDisk(path, readAlways)
	if bad == nil {
		return Verification{Rendered: true}, nil
	}
	if !errors.Is(bad, ErrNotFound) && !errors.Is(bad, ErrDamaged) {
		return Verification{}, bad
	}
	_, err = s.renderAgain(ctx, path, parts)
	return Verification{true, bad}, err
}

func (s *Store) verifyTree(ctx context.Context, parts []*part) (Verification, error) {
	path := s.treePath(renderedID(extract.Version, parts))
	if _, err := os.Lstat(path); err != nil {
		return Verification{}, ignoreMissing(err)
	}
	l, err := s.lock(ctx, treeLockDir, filepath.Base(path))
	if err != nil {
		return Verification{}, err
	}
	defer l.release()
	bad := s.compareTree(ctx, path, parts)
	if bad == nil {
		return Verification{Rendered: true}, nil
	}
	if !errors.Is(bad, extract.ErrDifferent) {
		return Verification{}, explainLayer(parts, bad)
	}
	return Verification{true, bad}, s.extractTree(ctx, path, parts)
}

// compareTree says how a tree differs from what it is made of.
func (s *Store) compareTree(ctx context.Context, path string, parts []*part) (err error) {
	limits, err := s.limits()
	if err != nil {
		return err
	}
	c, err := extract.NewComparer(filepath.Join(path, treeRootFS))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := render.Each(ctx, s.layers(ctx, parts), limits, c.Add); err != nil {
		return err
	}
	return c.Finish()
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
