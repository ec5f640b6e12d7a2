package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"rkt/internal/fault"
	"rkt/internal/image/extract"
	"rkt/internal/image/tempfile"
)

// Use is what pods need of a store.
type Use struct {
	Rendered map[string]bool // ids of disks and trees
	Images   map[string]bool // whole ids of images
}

// CollectRendered removes the disks and trees that nobody uses, and tells
// removed of each. Nobody may begin to use one meanwhile.
func (s *Store) CollectRendered(ctx context.Context, use Use, removed func(id string)) error {
	for _, dir := range []string{diskDir, treeDir} {
		entries, err := os.ReadDir(filepath.Join(s.dir, dir))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if use.Rendered[e.Name()] || strings.HasPrefix(e.Name(), tempfile.Prefix) {
				continue
			}
			if err := s.removeRendered(ctx, filepath.Join(s.dir, dir, e.Name())); err != nil {
				return fmt.Errorf("remove rendered image %q: %w", e.Name(), err)
			}
			removed(e.Name())
		}
	}
	return nil
}

// removeRendered removes a disk or a tree: at one moment it is whole, at the
// next it is not there.
func (s *Store) removeRendered(ctx context.Context, path string) error {
	l, err := s.lock(ctx, treeLockDir, filepath.Base(path))
	if err != nil {
		return err
	}
	defer l.release()
	old, err := moveAway(path, "store.collect")
	if err != nil {
		return ignoreMissing(err)
	}
	old.Discard()
	return nil
}

// moveAway moves a directory into a temporary one, which is returned.
func moveAway(path, point string) (*tempfile.Temp, error) {
	old, err := tempfile.CreateDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	fault.Point(point + ".before")
	if err := os.Rename(path, filepath.Join(old.Path(), "old")); err != nil {
		old.Discard()
		return nil, err
	}
	fault.Point(point + ".after")
	return old, nil
}

// Unused returns the images that nobody uses and that were last used before a
// time, those that were longest not used first.
func (s *Store) Unused(ctx context.Context, use Use, before time.Time) ([]Image, error) {
	images, _, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	needed := s.needed(images, use)
	images = slices.DeleteFunc(images, func(img Image) bool { return needed[img.ID] || !img.LastUsed.Before(before) })
	slices.SortStableFunc(images, func(a, b Image) int { return a.LastUsed.Compare(b.LastUsed) })
	return images, nil
}

// needed returns the ids of the images that are used and of all that those are
// made of.
func (s *Store) needed(images []Image, use Use) map[string]bool {
	needed := make(map[string]bool)
	known := s.catalog()
	for i := range images {
		r, err := s.readRecord(images[i].ID)
		if err != nil {
			continue
		}
		parts, err := s.parts(known, r, images[i].Manifest)
		if err != nil {
			parts = []*part{{record: r, manifest: images[i].Manifest}} // nothing can be made of it
		}
		if use.Images[r.ID] || use.Rendered[diskID(parts)] || use.Rendered[renderedID(extract.Version, parts)] {
			for _, p := range parts {
				needed[p.record.ID] = true
			}
		}
	}
	// What a disk was made of may be something else than what would be now.
	for id := range use.Rendered {
		var noted diskRecord
		if err := readDiskRecord(s.diskPath(id), &noted); err == nil {
			for _, image := range noted.Images {
				needed[image] = true
			}
		}
	}
	return needed
}
