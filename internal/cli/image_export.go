package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"rkt/internal/image"
	"rkt/internal/image/store"
	"rkt/internal/image/tempfile"
)

// exportMode is the mode of a file that an image is written to.
const exportMode = 0o644

func (p *program) newImageExport() *cobra.Command {
	var overwrite bool
	cmd := &cobra.Command{
		Use:   "export [--overwrite] IMAGE OUTPUT.aci",
		Short: "Write a stored image to a file",
		Long:  "Writes the image's archive, uncompressed, to a file. The file appears when it is\ncomplete.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage(cmd, errors.New("must provide an image and an output file"))
			}
			if filepath.Ext(args[1]) != image.Extension {
				return usage(cmd, fmt.Errorf("extension must be %s (given %s)", image.Extension, args[1]))
			}
			return p.withImage(args[0], func(images *store.Store, found *store.Image) error {
				return exportImage(cmd.Context(), images, found.ID, args[1], overwrite)
			})
		},
	}
	cmd.Flags().BoolVar(&overwrite, "overwrite", false, "replace the output file if it exists")
	return cmd
}

// withImage opens the store and finds an image in it.
func (p *program) withImage(arg string, f func(*store.Store, *store.Image) error) error {
	images, err := p.openStore()
	if err != nil {
		return err
	}
	defer images.Close()
	found, err := storedImage(images, arg)
	if err != nil {
		return err
	}
	return detail(f(images, found))
}

func exportImage(ctx context.Context, images *store.Store, id, path string, overwrite bool) error {
	exists := fmt.Errorf("output file %s exists (try --overwrite)", path)
	if _, err := os.Lstat(path); err == nil && !overwrite {
		return exists
	}
	// What others were killed over, if it can be removed.
	_ = tempfile.Sweep(filepath.Dir(path))
	tmp, err := tempfile.Create(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("create output file: %w", err)
	}
	defer tmp.Discard()
	w := bufio.NewWriterSize(tmp.File, 1<<20)
	if err := images.Export(ctx, id, w); err != nil {
		return err
	}
	if err := errors.Join(w.Flush(), tmp.File.Chmod(exportMode)); err != nil {
		return err
	}
	if overwrite {
		return tmp.Commit(path, "export")
	}
	// A link takes no name that somebody else has taken meanwhile.
	if err := tmp.File.Sync(); err != nil {
		return err
	}
	if err := os.Link(tmp.Path(), path); errors.Is(err, fs.ErrExist) {
		return exists
	} else if err != nil {
		return err
	}
	return nil
}
