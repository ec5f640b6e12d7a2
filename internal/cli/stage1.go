package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"rkt/internal/appc"
	"rkt/internal/errhint"
	"rkt/internal/image/fetch"
	"rkt/internal/image/store"
	"rkt/internal/pod"
)

// stage1Source is where the image comes from that a pod is to run in: the store,
// or a file that was found good to be stored.
type stage1Source struct {
	id string // of a stored image

	file    *os.File
	vouched bool // the file needs no signature
	record  *stage1Record
}

// close gives the file back.
func (s *stage1Source) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}

// chooseStage1 finds the image that a pod is to run in. It stores nothing but
// what has to be fetched.
func (p *program) chooseStage1(ctx context.Context, c *stage1Choice, images *store.Store) (*stage1Source, error) {
	switch c.flag {
	case stage1Hash:
		return p.stage1ByHash(c.value, images)
	case stage1Name:
		return p.stage1ByName(ctx, c.value, images)
	case stage1URL:
		return p.stage1ByURL(ctx, c.value, images)
	case stage1Path:
		vouched := p.global.insecure.has(insecureImage|insecureStage1) || isInstalledStage1(c.value)
		return p.stage1InFile(c.value, vouched, images)
	case stage1FromDir:
		return p.stage1InDir(c.value, images)
	}
	return p.defaultStage1(ctx, images)
}

// stage1 returns the chosen image, stored, extracted and checked.
func (p *program) stage1(ctx context.Context, source *stage1Source, images *store.Store) (*pod.Stage1, error) {
	if source.id == "" {
		if err := p.importStage1(ctx, source, images); err != nil {
			return nil, fmt.Errorf("stage1 image %s: %w", source.file.Name(), detail(err))
		}
	}
	stored, err := images.Get(source.id)
	if errors.Is(err, store.ErrNotFound) && source.file != nil {
		// It was removed since it was found there.
		if err := p.importStage1(ctx, source, images); err != nil {
			return nil, fmt.Errorf("stage1 image %s: %w", source.file.Name(), detail(err))
		}
		stored, err = images.Get(source.id)
	}
	if err != nil {
		return nil, err
	}
	tree, err := images.Tree(ctx, source.id)
	if err != nil {
		return nil, fmt.Errorf("extract the stage1 image: %w", err)
	}
	s, err := pod.NewStage1(tree.ID, stored.ManifestJSON, func(_, path string) (string, error) { return tree.Program(path) })
	if err == nil {
		err = s.Check()
	}
	if err != nil {
		return nil, incomplete(fmt.Errorf("stage1 image %q: %w", stored.Manifest.Name, detail(err)))
	}
	return s, nil
}

func incomplete(err error) error {
	return errhint.With(err, "build the stage1 image again, or choose another one with --stage1-path")
}

// stage1ByHash takes an image only if a key vouched for it when it was stored:
// its programs run as root.
func (p *program) stage1ByHash(hash string, images *store.Store) (*stage1Source, error) {
	if !appc.IsHash(hash) {
		return nil, fmt.Errorf("--%s %q is no image ID", stage1Hash, hash)
	}
	stored, err := storedImage(images, hash)
	if err != nil {
		return nil, err
	}
	return p.stage1InStore(hash, stored)
}

func (p *program) stage1InStore(named string, stored *store.Image) (*stage1Source, error) {
	if stored.SignedBy == "" && !p.global.insecure.has(insecureStage1) {
		return nil, errhint.With(fmt.Errorf("stage1 image %q: it was stored without a signature", named),
			"name its file with --stage1-path, or accept it with --insecure-options=stage1")
	}
	return &stage1Source{id: stored.ID}, nil
}

// stage1InFile takes the image in a file, or from the store if that has it from
// that very file already. What is in it will run as root, so nobody but root and
// the owner of rkt may have written it.
func (p *program) stage1InFile(path string, vouched bool, images *store.Store) (*stage1Source, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("stage1 image: %w", err)
	}
	source := &stage1Source{file: f, vouched: vouched}
	info, err := f.Stat()
	if err == nil {
		err = checkOwner(path, info)
	}
	if err == nil {
		err = p.examine(source, info, images)
	}
	if err != nil {
		source.close()
		return nil, err
	}
	return source, nil
}

// examine looks the file up among those that were stored before. If it is new
// it must be an image that can run pods.
func (p *program) examine(s *stage1Source, info os.FileInfo, images *store.Store) error {
	dataDir, err := p.dataDir()
	if err != nil {
		return err
	}
	s.record = newStage1Record(dataDir, s.file.Name(), info)
	if id := s.record.load(); id != "" {
		stored, err := images.Get(id)
		if err == nil && (s.vouched || stored.SignedBy != "") {
			s.id = stored.ID
			return nil
		}
	}
	if err := checkStage1Archive(s.file); err != nil {
		return incomplete(fmt.Errorf("stage1 image %s: %w", s.file.Name(), detail(err)))
	}
	return nil
}

// importStage1 stores the image in the source's file.
func (p *program) importStage1(ctx context.Context, s *stage1Source, images *store.Store) (err error) {
	fetcher := p.fetcher(images, fetch.PullUpdate)
	if s.vouched {
		s.id, err = fetcher.Import(ctx, s.file, nil, fetch.Options{Vouched: true})
	} else {
		s.id, err = importSignedStage1(ctx, fetcher, s.file)
	}
	if err != nil {
		return err
	}
	return s.record.save(s.id)
}

func importSignedStage1(ctx context.Context, fetcher *fetch.Fetcher, f *os.File) (string, error) {
	fetcher.Insecure.Image = false // that is about apps
	sig, err := os.Open(f.Name() + ".asc")
	if err != nil {
		return "", errhint.With(fmt.Errorf("error opening signature file: %w", err), signStage1Hint)
	}
	defer sig.Close()
	return fetcher.Import(ctx, f, sig, fetch.Options{})
}

// checkOwner refuses a file that anybody but root or the owner of this program
// may have written.
func checkOwner(path string, info os.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() {
		return fmt.Errorf("stage1 image %s: not a regular file", path)
	}
	exe, err := os.Stat("/proc/self/exe")
	if err != nil {
		return err
	}
	exeStat, ok := exe.Sys().(*syscall.Stat_t)
	if st.Uid != 0 && (!ok || st.Uid != exeStat.Uid) {
		return errhint.With(fmt.Errorf("stage1 image %s: it belongs to uid %d, and its programs would run as root", path, st.Uid),
			"give the file to root, with chown")
	}
	if info.Mode().Perm()&0o022 != 0 {
		return errhint.With(fmt.Errorf("stage1 image %s: others may write it, and its programs would run as root", path),
			"take their permission away, with chmod go-w")
	}
	return nil
}
