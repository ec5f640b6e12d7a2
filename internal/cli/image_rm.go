package cli

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"rkt/internal/image/store"
	"rkt/internal/pod"
)

func (p *program) newImageRm() *cobra.Command {
	return &cobra.Command{
		Use:   "rm IMAGE…",
		Short: "Remove images from the store",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, errors.New("must provide at least one image ID"))
			}
			return p.imageRm(cmd, args)
		},
	}
}

func (p *program) imageRm(cmd *cobra.Command, args []string) error {
	images, err := p.openStore()
	if err != nil {
		return err
	}
	defer images.Close()
	m := p.messages(cmd)
	// All are looked up first: an image may be named in several ways.
	var ids []string
	failed := 0
	for _, arg := range args {
		found, err := storedImage(images, arg)
		if err != nil {
			m.err(err)
			failed++
		} else if !slices.Contains(ids, found.ID) {
			ids = append(ids, found.ID)
		}
	}
	return p.withoutPreparations(cmd.Context(), func(*pod.Pods) error { return p.removeImages(cmd, images, ids, failed) })
}

// removeImages removes images from the store and says which; failed is how many
// could not be found.
func (p *program) removeImages(cmd *cobra.Command, images *store.Store, ids []string, failed int) error {
	m := p.messages(cmd)
	removed := 0
	for _, id := range ids {
		err := images.Remove(id)
		if errors.Is(err, store.ErrNotFound) {
			m.printf("image %q was removed meanwhile", id)
			continue
		}
		if err != nil {
			m.err(fmt.Errorf("image %q: %w", id, err))
			failed++
			continue
		}
		removed++
		fmt.Fprintf(p.stdout, "successfully removed aci for image: %q\n", id)
	}
	if removed > 0 {
		m.printf("%d image(s) successfully removed", removed)
	}
	if failed > 0 {
		return fmt.Errorf("%d image(s) cannot be removed", failed)
	}
	return nil
}
