package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

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
		data, err := p.dataDir()
		if err != nil {
			return err
		}
		if o.Dir, err = outputDir(args[1], data, o.Overwrite); err != nil {
			return err
		}
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
// path. What is at it must not be where rkt works or keeps its data.
func outputDir(path, data string, overwrite bool) (string, error) {
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
	if err := checkDeletable(path, data); err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", fmt.Errorf("output directory %s: it exists and is not a directory", path)
	}
	return path, nil
}

// checkDeletable refuses to delete a directory that holds more than somebody can
// have meant.
func checkDeletable(path, data string) error {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	if target == "/" {
		return errors.New("this would delete your root filesystem. Refusing.")
	}
	current, err := os.Getwd()
	if err != nil {
		return err
	}
	for _, held := range []struct{ what, path string }{{"current", current}, {"data", data}} {
		dir, err := filepath.EvalSymlinks(held.path)
		if err == nil && strings.HasPrefix(dir+"/", target+"/") {
			return fmt.Errorf("this would delete your %s directory, %s. Refusing.", held.what, held.path)
		}
	}
	return nil
}
