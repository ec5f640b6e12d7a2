package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"rkt/internal/image/extract"
	"rkt/internal/image/render"
	"rkt/internal/image/tempfile"
)

// Tree is a stage1 image as a directory.
type Tree struct {
	ID   string // what it holds; goes into the pod's stage1TreeStoreID
	Path string // absolute; holds manifest and rootfs/
}

// Names in a tree.
const (
	treeManifest = "manifest"
	treeRootFS   = "rootfs"
)

const (
	treeMode         = 0o755
	treeManifestMode = 0o644
)

// Tree returns the directory of the image with the given whole id, made of it
// and its dependencies. The first call extracts it.
func (s *Store) Tree(ctx context.Context, id string) (Tree, error) {
	parts, err := s.renderable(id)
	if err != nil {
		return Tree{}, err
	}
	if err := s.touchAll(parts); err != nil {
		return Tree{}, err
	}
	treeID := renderedID(extract.Version, parts)
	if t, err := s.OpenTree(treeID); !errors.Is(err, ErrNotFound) {
		return t, err
	}
	l, err := s.lock(ctx, treeLockDir, treeID)
	if err != nil {
		return Tree{}, err
	}
	defer l.release()
	if t, err := s.OpenTree(treeID); !errors.Is(err, ErrNotFound) {
		return t, err
	}
	if err := s.extractTree(ctx, s.treePath(treeID), parts); err != nil {
		name := parts[len(parts)-1].record.Name
		return Tree{}, fmt.Errorf("extract image %q: %w", name, s.explainSpace(explainLayer(parts, err)))
	}
	return s.OpenTree(treeID)
}

// OpenTree returns a tree that exists already, by its own id: ErrNotFound if
// there is none.
func (s *Store) OpenTree(treeID string) (Tree, error) {
	if !strings.HasPrefix(treeID, renderedPrefix) || treeID != filepath.Base(treeID) {
		return Tree{}, fmt.Errorf("tree %q: %w", treeID, ErrNotFound)
	}
	path := s.treePath(treeID)
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Tree{}, fmt.Errorf("tree %q: %w", treeID, ErrNotFound)
	}
	if err != nil {
		return Tree{}, err
	}
	return Tree{ID: treeID, Path: path}, nil
}

func (s *Store) treePath(id string) string { return filepath.Join(s.dir, treeDir, id) }

// extractTree makes the directory of an image's parts. It is whole once it has
// its name.
func (s *Store) extractTree(ctx context.Context, path string, parts []*part) error {
	tmp, err := tempfile.CreateDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer tmp.Discard()
	if err := s.fillTree(ctx, tmp.Path(), parts, s.layers(ctx, parts)); err != nil {
		return err
	}
	if err := os.Chmod(tmp.Path(), treeMode); err != nil { // whatever the umask
		return err
	}
	return s.replaceDir(tmp, path, "store.tree")
}

// fillTree puts the manifest of an image and what its layers make into an empty
// directory and makes them durable.
func (s *Store) fillTree(ctx context.Context, dir string, parts []*part, layers []render.Layer) error {
	_, text, err := s.readManifest(parts[len(parts)-1].record)
	if err != nil {
		return err
	}
	manifest, rootfs := filepath.Join(dir, treeManifest), filepath.Join(dir, treeRootFS)
	if err := os.WriteFile(manifest, text, treeManifestMode); err != nil {
		return err
	}
	if err := os.Mkdir(rootfs, treeMode); err != nil {
		return err
	}
	for path, mode := range map[string]os.FileMode{manifest: treeManifestMode, rootfs: treeMode} {
		if err := os.Chmod(path, mode); err != nil { // whatever the umask
			return err
		}
	}
	return s.fillRootFS(ctx, rootfs, layers)
}

// fillRootFS extracts what layers make together into an empty directory.
func (s *Store) fillRootFS(ctx context.Context, dir string, layers []render.Layer) (err error) {
	limits, err := s.limits()
	if err != nil {
		return err
	}
	x, err := extract.New(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	if err := render.Each(ctx, layers, limits, x.Add); err != nil {
		return err
	}
	return x.Finish()
}

// Program returns the absolute path of the program at path inside the tree's
// rootfs. It fails unless that is an executable regular file inside the tree.
func (t Tree) Program(path string) (string, error) {
	root, err := os.OpenRoot(filepath.Join(t.Path, treeRootFS))
	if err != nil {
		return "", err
	}
	defer root.Close()
	name := strings.TrimLeft(filepath.Clean(path), "/")
	info, err := root.Stat(name)
	if err != nil {
		return "", fmt.Errorf("program %q of the image: %w", path, err)
	}
	const executable = 0o111
	if !info.Mode().IsRegular() || info.Mode()&executable == 0 {
		return "", fmt.Errorf("program %q of the image is not an executable file", path)
	}
	return filepath.Join(root.Name(), name), nil
}
