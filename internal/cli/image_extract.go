package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"rkt/internal/image/store"
)

func (p *program) newImageExtract() *cobra.Command {
	return p.newUnpack(&cobra.Command{
		Use:   "extract [--rootfs-only] [--overwrite] IMAGE DIRECTORY",
		Short: "Extract a stored image to a directory",
		Long:  "Extracts the image itself, without its dependencies.",
	}, store.Output{})
}

func (p *program) newImageRender() *cobra.Command {
	return p.newUnpack(&cobra.Command{
		Use:   "render [--rootfs-only] [--overwrite] IMAGE DIRECTORY",
		Short: "Extract a stored image and its dependencies to a directory",
		Long:  "Extracts the files that an app of the image would see: those of the image above\nthose of its dependencies, as far as path whitelists leave them.",
	}, store.Output{Resolve: true})
}

func (p *program) newUnpack(cmd *cobra.Command, o store.Output) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) != 2 {
			return usage(cmd, errors.New("must provide an image and an output directory"))
		}
		if err := requireRoot(); err != nil {
			return err // files are given away
		}
		dir, err := outputDir(args[1], o.Overwrite)
		if err != nil {
			return err
		}
		o.Dir = dir
		return p.withImage(args[0], func(images *store.Store, found *store.Image) error {
			err := images.Unpack(cmd.Context(), found.ID, o)
			if errors.Is(err, store.ErrExists) {
				return errOutputExists
			}
			return err
		})
	}
	cmd.Flags().BoolVar(&o.RootFSOnly, "rootfs-only", false, "extract only what is in the rootfs, right into the directory")
	cmd.Flags().BoolVar(&o.Overwrite, "overwrite", false, "replace the directory if it exists")
	return cmd
}

var errOutputExists = errors.New("output directory exists (try --overwrite)")

// outputDir checks the directory that is to be made and returns its absolute
// path.
func outputDir(path string, overwrite bool) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return path, nil
	}
	if err != nil {
		return "", fmt.Errorf("output directory: %w", err)
	}
	if !overwrite {
		return "", errOutputExists
	}
	if real, err := filepath.EvalSymlinks(path); err != nil || real == "/" {
		return "", errors.Join(err, errors.New("this would delete your root filesystem. Refusing."))
	}
	if !info.IsDir() {
		return "", fmt.Errorf("output directory %s: it exists and is not a directory", path)
	}
	return path, nil
}
