package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"rkt/internal/image/store"
)

func (p *program) newImageVerify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify IMAGE…",
		Short: "Compare stored images with what they were when they were stored",
		Long: `Reads the archives of the images, and what was made of them before use, and
compares both with their digests. What was made is made again if it is damaged;
a damaged archive has to be fetched again, and the next fetch does.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, errors.New("must provide at least one image"))
			}
			if err := requireRoot(); err != nil {
				return err // nobody else may read what was made of an image
			}
			return p.imageVerify(cmd, args)
		},
	}
}

func (p *program) imageVerify(cmd *cobra.Command, args []string) error {
	images, err := p.openStore()
	if err != nil {
		return err
	}
	defer images.Close()
	m := p.messages(cmd)
	failed := 0
	for _, arg := range args {
		if err := p.verifyImage(cmd, images, arg); err != nil {
			m.err(detail(err))
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d image(s) failed verification", failed)
	}
	return nil
}

func (p *program) verifyImage(cmd *cobra.Command, images *store.Store, arg string) error {
	found, err := storedImage(images, arg)
	if err != nil {
		return err
	}
	result, err := images.Verify(cmd.Context(), found.ID)
	if result.Rebuilt != nil {
		p.messages(cmd).printf("tree cache verification failed for image %s: %v;  rebuilding...", arg, result.Rebuilt)
	}
	switch {
	case err != nil:
		return aboutImage(arg, err)
	case !result.Rendered:
		fmt.Fprintf(p.stdout, "image %q not rendered; no verification needed\n", arg)
	case result.Rebuilt == nil:
		fmt.Fprintf(p.stdout, "successfully verified checksum for image: %q (%q)\n", arg, found.ID)
	}
	return nil
}
