package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"rkt/internal/appc"
	"rkt/internal/errhint"
	"rkt/internal/image/fetch"
	"rkt/internal/image/store"
	"rkt/internal/pod"
	"rkt/internal/version"
)

// stage1Choice is what the --stage1-… flags say, at most one of them.
type stage1Choice struct {
	flag, value string
}

// stage1Flag is one of the flags.
type stage1Flag struct {
	choice *stage1Choice
	name   string
}

func (f stage1Flag) String() string { return "" }
func (f stage1Flag) Type() string   { return "string" }

func (f stage1Flag) Set(value string) error {
	switch {
	case f.choice.flag == f.name:
		return fmt.Errorf("--%s already used", f.name)
	case f.choice.flag != "":
		return fmt.Errorf("flags --%s and --%s are mutually exclusive", f.choice.flag, f.name)
	case value == "":
		return errors.New("must not be empty")
	}
	*f.choice = stage1Choice{f.name, value}
	return nil
}

const (
	stage1Path    = "stage1-path"
	stage1Hash    = "stage1-hash"
	stage1FromDir = "stage1-from-dir"
)

func (c *stage1Choice) add(flags *pflag.FlagSet) {
	flags.Var(stage1Flag{c, stage1Path}, stage1Path, "file with the image to run the pod in")
	flags.Var(stage1Flag{c, stage1Hash}, stage1Hash, "id of the image to run the pod in")
	flags.Var(stage1Flag{c, stage1FromDir}, stage1FromDir, "name of a file in the directory of stage1 images")
	addUnsupported(flags, "stage1-url", "stage1-name")
}

// stage1 returns the image that a pod is to run in, extracted and checked.
func (p *program) stage1(ctx context.Context, c *stage1Choice, images *store.Store) (*pod.Stage1, error) {
	id, err := p.stage1ID(ctx, c, images)
	if err != nil {
		return nil, err
	}
	stored, err := images.Get(id)
	if err != nil {
		return nil, err
	}
	tree, err := images.Tree(ctx, id)
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

// stage1ID makes sure that the chosen image is in the store.
func (p *program) stage1ID(ctx context.Context, c *stage1Choice, images *store.Store) (string, error) {
	switch c.flag {
	case stage1Hash:
		return p.stage1ByHash(c.value, images)
	case stage1Path:
		vouched := p.global.insecure.has(insecureImage | insecureStage1)
		return p.stage1FromFile(ctx, c.value, vouched, images)
	case stage1FromDir:
		return p.stage1FromDir(ctx, c.value, images)
	}
	return p.defaultStage1(ctx, images)
}

// stage1ByHash takes an image only if a key vouched for it when it was stored:
// its programs run as root.
func (p *program) stage1ByHash(hash string, images *store.Store) (string, error) {
	if !appc.IsHash(hash) {
		return "", fmt.Errorf("--%s %q is no image ID", stage1Hash, hash)
	}
	stored, err := storedImage(images, hash)
	if err != nil {
		return "", err
	}
	if stored.SignedBy == "" && !p.global.insecure.has(insecureStage1) {
		return "", errhint.With(fmt.Errorf("stage1 image %q: it was stored without a signature", hash),
			"name its file with --stage1-path, or accept it with --insecure-options=stage1")
	}
	return stored.ID, nil
}

// stage1FromDir takes an image that was installed with rkt.
func (p *program) stage1FromDir(ctx context.Context, name string, images *store.Store) (string, error) {
	if version.DefaultStage1ImagesDir == "" {
		return "", errhint.With(errors.New("this rkt was built without a directory of stage1 images"), "use --stage1-path")
	}
	if name != filepath.Base(name) {
		return "", fmt.Errorf("--%s %q must be the name of a file", stage1FromDir, name)
	}
	return p.stage1FromFile(ctx, filepath.Join(version.DefaultStage1ImagesDir, name), true, images)
}

// defaultStage1 takes the image where it was installed, else the one beside the
// program.
func (p *program) defaultStage1(ctx context.Context, images *store.Store) (string, error) {
	var places []string
	if version.DefaultStage1Location != "" {
		places = append(places, version.DefaultStage1Location)
	}
	if version.DefaultStage1File != "" {
		exe, err := os.Readlink("/proc/self/exe")
		if err != nil {
			return "", err
		}
		places = append(places, filepath.Join(filepath.Dir(exe), version.DefaultStage1File))
	}
	for _, place := range places {
		_, err := os.Lstat(place)
		if !errors.Is(err, os.ErrNotExist) {
			return p.stage1FromFile(ctx, place, true, images)
		}
	}
	if places == nil {
		return "", errors.New("neither the location of the default stage1 image nor its filename are set, " +
			"use --stage1-{path,url,name,hash,from-dir} flag")
	}
	return "", errhint.With(errors.New("failed to fetch stage1 image and failed to fall back to stage1 image "+
		"in the rkt directory: there is no "+strings.Join(places, " and no ")), "name a stage1 image with --stage1-path")
}

// stage1FromFile stores the image in a file, unless the store has it from that
// very file already. Vouched means that it needs no signature. What is in it
// will run as root, so nobody but root and the owner of rkt may have written it.
func (p *program) stage1FromFile(ctx context.Context, path string, vouched bool, images *store.Store) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("stage1 image: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if err := checkOwner(path, info); err != nil {
		return "", err
	}
	record := newStage1Record(string(p.global.dir), path, info)
	if id := record.load(); id != "" {
		stored, err := images.Get(id)
		if err == nil && (vouched || stored.SignedBy != "") {
			return stored.ID, nil
		}
	}
	if err := checkStage1Archive(f); err != nil {
		return "", incomplete(fmt.Errorf("stage1 image %s: %w", path, detail(err)))
	}
	id, err := p.importStage1(ctx, f, vouched, images)
	if err != nil {
		return "", fmt.Errorf("stage1 image %s: %w", path, detail(err))
	}
	return id, record.save(id)
}

func (p *program) importStage1(ctx context.Context, f *os.File, vouched bool, images *store.Store) (string, error) {
	fetcher := p.fetcher(images, fetch.PullUpdate)
	if vouched {
		return fetcher.Import(ctx, f, nil, fetch.Options{Vouched: true})
	}
	sig, err := os.Open(f.Name() + ".asc")
	if err != nil {
		return "", errhint.With(fmt.Errorf("error opening signature file: %w", err),
			"sign the stage1 image, or accept it with --insecure-options=stage1")
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
