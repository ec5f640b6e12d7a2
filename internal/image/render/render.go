// Package render turns the archives of images into one read-only file system
// in a file.
//
// It streams: nothing is unpacked. The same archives give the same bytes.
// Owners, modes, times, hard links, devices and extended attributes are kept;
// the directories that a system mounts things on are added.
package render

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"

	"rkt/internal/image/archive"
)

const (
	// Filesystem is what Ext4 writes, as mount(8) names it.
	Filesystem = "ext4"
	// Version changes whenever the same archives would give other bytes than
	// before.
	Version = "ext4-2"
)

// ErrUnsupported means that an image has something in it that a disk cannot
// hold.
var ErrUnsupported = errors.New("image cannot be made into a disk")

// Layer is the archive of one image.
type Layer struct {
	// Open returns the uncompressed archive from its beginning. Where it is
	// stored, the reader must end with an error instead of io.EOF if the bytes
	// are not what they should be.
	Open func() (io.ReadCloser, error)
	// Duplicates says that names may occur more than once.
	Duplicates bool
	// Keep, if not nil, says whether a path of this layer is left.
	Keep func(name string, dir bool) bool
	// Dirs are directories that are to be there even if no layer has them.
	Dirs []string
}

func (l *Layer) keeps(name string, dir bool) bool { return l.Keep == nil || l.Keep(name, dir) }

// Add takes one entry of a tree: its path, header and data.
type Add func(name string, h *tar.Header, r io.Reader) error

// Each calls add for every entry of the tree that the layers make, the lowest
// first, together. Names of a higher layer replace those of a lower one. A name
// other than a directory's comes once, except that the names of a single layer
// come as they are in it; the last of them counts.
func Each(ctx context.Context, layers []Layer, limits archive.Limits, add Add) error {
	final, err := planFor(ctx, layers, limits)
	if err != nil {
		return err
	}
	return eachFinal(ctx, layers, limits, final, add)
}

// Ext4 writes the tree that the layers make as one file system to out, which
// must be empty. It does not sync out.
func Ext4(ctx context.Context, out *os.File, layers []Layer, limits archive.Limits) error {
	final, err := planFor(ctx, layers, limits)
	if err != nil {
		return err
	}
	disk := NewDisk(out)
	defer disk.Close()
	if err := eachFinal(ctx, layers, limits, final, disk.Add); err != nil {
		return err
	}
	return disk.Finish()
}

// planFor returns the plan for the layers, nil if everything stays as it is.
func planFor(ctx context.Context, layers []Layer, limits archive.Limits) (*plan, error) {
	if len(layers) == 1 && !layers[0].Duplicates && layers[0].Keep == nil {
		return nil, nil //nolint:nilnil // no plan is a plan
	}
	return makePlan(ctx, layers, limits)
}

// eachFinal calls add for what is in the final tree.
func eachFinal(ctx context.Context, layers []Layer, limits archive.Limits, final *plan, add Add) error {
	for i := range layers {
		err := eachEntry(ctx, layers, i, limits, func(n int, e *archive.Entry, r io.Reader) error {
			if final == nil {
				return add(e.Name, &e.Header, r)
			}
			return final.layers[i].add(add, n, e, r)
		})
		if err != nil {
			return err
		}
	}
	if final == nil {
		return nil
	}
	for _, name := range final.dirs {
		if err := add(name, dirHeader(plainDir), nil); err != nil {
			return err
		}
	}
	return nil
}

// LayerError is an error of reading or writing a layer.
type LayerError struct {
	Layer int // its number
	Err   error
}

func (e *LayerError) Error() string { return e.Err.Error() }

// Unwrap returns the error without the layer.
func (e *LayerError) Unwrap() error { return e.Err }

// eachEntry calls f for every entry of a layer but the manifest, with its
// number and its data.
func eachEntry(ctx context.Context, layers []Layer, i int, limits archive.Limits, f func(int, *archive.Entry, io.Reader) error) (err error) {
	defer func() {
		if err != nil {
			err = &LayerError{i, err}
		}
	}()
	src, err := layers[i].Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	r := archive.NewReader(archive.WithContext(ctx, src), limits)
	for n := 0; ; n++ {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if e.Manifest {
			continue
		}
		if err := f(n, e, r); err != nil {
			return err
		}
	}
}

// isDir says whether a header is a directory's.
func isDir(h *tar.Header) bool { return h.Typeflag == tar.TypeDir }
