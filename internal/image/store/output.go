package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rkt/internal/appc"
	"rkt/internal/fault"
	"rkt/internal/image/render"
	"rkt/internal/image/tempfile"
	"rkt/internal/linux"
)

// ErrExists means that there is something already where the output is to be.
var ErrExists = errors.New("output exists")

// Export writes the uncompressed archive of the image with the given whole id to
// w. If it fails part of it may have been written.
func (s *Store) Export(ctx context.Context, id string, w io.Writer) (err error) {
	id = appc.Hash(id).Key()
	if _, err := s.readRecord(id); err != nil {
		return fmt.Errorf("image %q: %w", id, err)
	}
	src, err := s.openPlain(ctx, id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	if _, err := io.Copy(w, src); err != nil {
		return explainBlob(id, err)
	}
	return s.touch(id)
}

// Output says what to make of an image outside of the store.
type Output struct {
	// Dir is the directory to be. It appears when it is complete.
	Dir string
	// Resolve puts the files of the image's dependencies below its own and
	// obeys whitelists, as for running it.
	Resolve bool
	// RootFSOnly puts the files right into Dir, without the manifest.
	RootFSOnly bool
	// Overwrite replaces what is at Dir; without it that is ErrExists.
	Overwrite bool
}

const outputMode = 0o755

// Unpack makes a directory of the image with the given whole id.
func (s *Store) Unpack(ctx context.Context, id string, o Output) error {
	parts, err := s.renderable(id)
	if !o.Resolve {
		parts, err = s.alone(id)
	}
	if err != nil {
		return err
	}
	// What others were killed over, if it can be removed.
	_ = tempfile.Sweep(filepath.Dir(o.Dir))
	tmp, err := tempfile.CreateDir(filepath.Dir(o.Dir))
	if err != nil {
		return err
	}
	defer tmp.Discard()
	if o.RootFSOnly {
		err = s.fillRootFS(ctx, tmp.Path(), s.layersFor(ctx, parts, o.Resolve))
	} else {
		err = s.fillTree(ctx, tmp.Path(), parts, s.layersFor(ctx, parts, o.Resolve))
		err = errors.Join(err, os.Chmod(tmp.Path(), outputMode))
	}
	if err != nil {
		return fmt.Errorf("unpack image %q: %w", parts[len(parts)-1].record.Name, explainLayer(parts, err))
	}
	if err := place(tmp, o); err != nil {
		return err
	}
	return s.touchAll(parts)
}

// alone returns an image as the only part of itself.
func (s *Store) alone(id string) ([]*part, error) {
	id = appc.Hash(id).Key()
	r, err := s.readRecord(id)
	if err != nil {
		return nil, fmt.Errorf("image %q: %w", id, err)
	}
	return []*part{{record: r}}, nil
}

func (s *Store) layersFor(ctx context.Context, parts []*part, resolve bool) []render.Layer {
	layers := s.layers(ctx, parts)
	if !resolve {
		layers[0].Keep, layers[0].Dirs = nil, nil
	}
	return layers
}

// place gives the finished directory its name.
func place(tmp *tempfile.Temp, o Output) error {
	if o.Overwrite {
		old, err := moveAway(o.Dir, "store.output-old")
		switch {
		case err == nil:
			defer old.Discard()
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	fault.Point("store.output.before")
	err := unix.Renameat2(unix.AT_FDCWD, tmp.Path(), unix.AT_FDCWD, o.Dir, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%w: %s", ErrExists, o.Dir)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: tmp.Path(), New: o.Dir, Err: err}
	}
	fault.Point("store.output.after")
	return errors.Join(linux.SyncDir(filepath.Dir(o.Dir)), tmp.Renamed())
}
