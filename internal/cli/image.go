package cli

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rkt/internal/appc"
	"rkt/internal/errhint"
	"rkt/internal/image"
	"rkt/internal/image/store"
)

func (p *program) newImage() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image [command]",
		Short: "Operate on images in the store",
		Args:  cobra.ArbitraryArgs,
		RunE:  missingCommand,
	}
	cmd.AddCommand(
		p.newImageCatManifest(), p.newImageExport(), p.newImageExtract(), p.newImageGC(), p.newImageList(),
		p.newImageRender(), p.newImageRm(), p.newImageVerify(),
	)
	return cmd
}

// storedImage finds the image that an argument names: by its id, a beginning of
// that, or its name.
func storedImage(images *store.Store, arg string) (*store.Image, error) {
	found, err := lookUp(images, arg)
	if err != nil {
		return nil, aboutImage(arg, err)
	}
	return found, nil
}

// parseImage understands the image string of a command line. A file must be
// there: without it the first thing to be missed would be its signature.
func parseImage(arg string) (image.Reference, error) {
	ref, err := image.ParseReference(arg)
	if err == nil && ref.Kind == image.KindFile {
		_, err = os.Stat(ref.Path)
	}
	return ref, err
}

// aboutImage says which image an error is about, if it doesn't yet, and what to
// do.
func aboutImage(arg string, err error) error {
	if !strings.Contains(err.Error(), strconv.Quote(arg)) {
		err = fmt.Errorf("image %q: %w", arg, err)
	}
	switch {
	case errhint.Of(err) != "":
	case errors.Is(err, store.ErrNotFound):
		err = errhint.With(err, "`rkt image list` shows the images in the store")
	case errors.Is(err, store.ErrAmbiguous), errors.Is(err, store.ErrIDTooShort):
		err = errhint.With(err, "give more of the image ID; `rkt image list --full` shows it whole")
	}
	return detail(err)
}

func lookUp(images *store.Store, arg string) (*store.Image, error) {
	if appc.IsHash(arg) {
		return images.Get(arg)
	}
	ref, err := image.ParseReference(arg)
	if err != nil {
		return nil, err
	}
	if ref.Kind != image.KindName {
		return nil, errors.New("neither an image ID nor an image name")
	}
	return images.FindByName(ref.Name, ref.Labels)
}
