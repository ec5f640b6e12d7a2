package main

import (
	"cmp"
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
	flavor, hypervisor, name string
	arch, recipes, version   string
	kernel, stage1           string
	agent, init              string
	plugins, pluginNames     string
	out, dir                 string
}

// build assembles the image and writes it as an archive or a directory.
func build(ctx context.Context, o buildOptions) (err error) {
	a, err := findArch(o.arch)
	if err != nil {
		return err
	}
	f, err := findFlavor(o.flavor, o.hypervisor)
	if err == nil {
		err = o.complete(f)
	}
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "mkimage-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	p := part{tree: tree.New(), options: o, arch: a, work: work}
	if err := errors.Join(f.add(ctx, p), addPrograms(p.tree, o.stage1, f.entryPoints)); err != nil {
		return err
	}
	if o.dir != "" {
		return p.tree.WriteDir(o.dir)
	}
	manifest, err := f.manifest(cmp.Or(o.name, f.name), a, o.version)
	if err != nil {
		return err
	}
	return writeImage(o.out, p.tree, manifest)
}

// complete returns what is missing to build an image of a flavour.
func (o buildOptions) complete(f flavor) error {
	switch {
	case f.needsKernel && o.kernel == "":
		return fmt.Errorf("flavor %s needs -kernel", o.flavor)
	case f.needsAgent && (o.agent == "" || o.init == ""):
		return fmt.Errorf("flavor %s needs -agent and -init", o.flavor)
	}
	return nil
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
			"init":      {absolute(o.init)},
		},
	}
}

// addPrograms adds the entry points: one program that looks at its name.
func addPrograms(t *tree.Tree, program string, entries []entryPoint) error {
	if err := t.File(programName, absolute(program), 0o755); err != nil {
		return err
	}
	for _, e := range entries {
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
