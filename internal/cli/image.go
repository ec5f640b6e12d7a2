package cli

import (
	"errors"
	"fmt"

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
	cmd.AddCommand(p.newImageCatManifest(), p.newImageList(), p.newImageRm())
	return cmd
}

// storedImage finds the image that an argument names: by its id, a beginning of
// that, or its name.
func storedImage(images *store.Store, arg string) (*store.Image, error) {
	found, err := lookUp(images, arg)
	switch {
	case errors.Is(err, store.ErrNotFound):
		err = errhint.With(err, "`rkt image list` shows the images in the store")
	case errors.Is(err, store.ErrAmbiguous), errors.Is(err, store.ErrIDTooShort):
		err = errhint.With(err, "give more of the image ID; `rkt image list --full` shows it whole")
	}
	if err != nil {
		return nil, fmt.Errorf("image %q: %w", arg, err)
	}
	return found, nil
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
