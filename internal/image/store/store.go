// Package store keeps images: the archives as they were fetched, named by
// their content, and what is made of them before use, disk images for apps and
// directories for stage1 images.
//
// Many processes use one store at once. Every change is a rename, every
// temporary file is locked by its maker, and what a killed process left is
// removed by the next one.
package store

import (
	"context"
	"errors"
	"time"

	"rkt/internal/appc"
)

// Errors of the store. Each may come wrapped; use errors.Is.
var (
	// ErrNotFound means that no image has the id or name.
	ErrNotFound = errors.New("no image IDs found")
	// ErrIDTooShort means that an id has fewer than two hex digits.
	ErrIDTooShort = errors.New("image ID too short")
	// ErrAmbiguous means that several images' ids begin alike.
	ErrAmbiguous = errors.New("ambiguous image ID")
	// ErrDamaged means that stored bytes are not what they were.
	ErrDamaged = errors.New("damaged in the store")
)

// Store is an image store below a data directory.
type Store struct{}

// Open opens the store below dataDir, an absolute path, and creates what is
// missing. It removes what killed processes left behind.
func Open(dataDir string) (*Store, error) { return nil, errors.ErrUnsupported }

// Close ends the use of the store.
func (s *Store) Close() error { return nil }

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

// List returns all images, oldest import first. An image that cannot be read
// is left out and reported in damaged.
func (s *Store) List(ctx context.Context) (images []Image, damaged []error, err error) {
	return nil, nil, errors.ErrUnsupported
}

// Get returns the image with the given id. Anything from two hex digits of it
// on will do if no other begins alike: ErrNotFound, ErrIDTooShort,
// ErrAmbiguous.
func (s *Store) Get(id string) (*Image, error) { return nil, errors.ErrUnsupported }

// FindByName returns the image with the given name that has all the given
// labels: of several the one imported last, and one fetched as the latest
// before others if labels has no version. Otherwise ErrNotFound.
func (s *Store) FindByName(name appc.ACIdentifier, labels appc.Labels) (*Image, error) {
	return nil, errors.ErrUnsupported
}

// Remove removes the image with the given whole id. What was made of it stays,
// for pods that use it.
func (s *Store) Remove(id string) error { return errors.ErrUnsupported }

// Disk is an image rendered to a file system in a file. The file is shared:
// attach it read-only.
type Disk struct {
	ID         string // what it holds; goes into the pod's treeStoreID
	Path       string // absolute
	Filesystem string // "ext4"
	Size       int64
	SHA256     string // of the whole file, lower-case hex
	// Checked says how SHA256 was made sure of by this call: "hash" or
	// "record".
	Checked string
}

// Disk returns the disk of the image with the given whole id. The first call
// renders it; each call checks that it is what was rendered, and renders it
// again if it is not.
func (s *Store) Disk(ctx context.Context, id string) (Disk, error) {
	return Disk{}, errors.ErrUnsupported
}

// Tree is a stage1 image as a directory.
type Tree struct {
	ID   string // what it holds; goes into the pod's stage1TreeStoreID
	Path string // absolute; holds manifest and rootfs/
}

// Tree returns the directory of the image with the given whole id. The first
// call extracts it.
func (s *Store) Tree(ctx context.Context, id string) (Tree, error) {
	return Tree{}, errors.ErrUnsupported
}

// OpenTree returns a tree that exists already, by its own id: ErrNotFound if
// there is none.
func (s *Store) OpenTree(treeID string) (Tree, error) { return Tree{}, errors.ErrUnsupported }

// Program returns the absolute path of the program at path inside the tree's
// rootfs. It fails unless that is an executable regular file inside the tree.
func (t Tree) Program(path string) (string, error) { return "", errors.ErrUnsupported }
