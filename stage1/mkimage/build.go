package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"rkt/internal/build/elfdeps"
	"rkt/internal/build/recipe"
	"rkt/internal/build/tree"
)

// buildOptions say what to build from what.
type buildOptions struct {
	arch, recipes, version string
	kernel, stage1, agent  string
	out, dir               string
}

// build assembles the image and writes it as an archive or a directory.
func build(ctx context.Context, o buildOptions) (err error) {
	a, err := findArch(o.arch)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "mkimage-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	t, err := assemble(ctx, o, a, work)
	if err != nil {
		return err
	}
	if o.dir != "" {
		return t.WriteDir(o.dir)
	}
	manifest, err := imageManifest(a, o.version)
	if err != nil {
		return err
	}
	return writeImage(o.out, t, manifest)
}

// assemble collects the image's rootfs; files that had to be made are in work.
func assemble(ctx context.Context, o buildOptions, a arch, work string) (*tree.Tree, error) {
	t := tree.New()
	for _, part := range []string{"machine", "virtiofsd"} {
		sub, err := recipe.Build(filepath.Join(o.recipes, part+".recipe"), recipeOptions(o, a))
		if err != nil {
			return nil, err
		}
		if err := t.Graft(part, sub); err != nil {
			return nil, err
		}
	}
	for _, add := range []func() error{
		func() error { return addGuest(ctx, t, o, a, work) },
		func() error { return addScratch(ctx, t, work) },
		func() error { return addDescription(ctx, t, o, a) },
		func() error { return addPrograms(t, o.stage1) },
	} {
		if err := add(); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// recipeOptions returns the variables that the recipes use.
func recipeOptions(o buildOptions, a arch) recipe.Options {
	return recipe.Options{
		Libraries: elfdeps.Debian(a.multiarch),
		Vars: map[string][]string{
			"multiarch": {a.multiarch},
			"qemu":      {a.qemu},
			"module":    suffixed(a.modules, ".so"),
			"firmware":  a.firmware,
			"kernel":    {absolute(o.kernel)},
			"agent":     {absolute(o.agent)},
		},
	}
}

// addPrograms adds the entry points: one program that looks at its name.
func addPrograms(t *tree.Tree, program string) error {
	if err := t.File(programName, absolute(program), 0o755); err != nil {
		return err
	}
	for _, e := range entryPoints() {
		if err := t.Symlink(e.path, programName); err != nil {
			return err
		}
	}
	return nil
}

// writeImage writes a compressed ACI under a temporary name and renames it.
func writeImage(name string, t *tree.Tree, manifest []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".image-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(compress(f, t, manifest), f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	return os.Rename(f.Name(), name)
}

// compress writes the ACI through gzip, whose header stays empty.
func compress(w io.Writer, t *tree.Tree, manifest []byte) error {
	z := gzip.NewWriter(w)
	if err := t.WriteACI(z, manifest); err != nil {
		return err
	}
	return z.Close()
}

// suffixed appends a suffix to each word.
func suffixed(words []string, suffix string) []string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = w + suffix
	}
	return list
}

// absolute makes a path independent of a recipe's directory.
func absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return abs
}
