package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
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
	done, failed := make(map[string]bool), 0
	for _, arg := range args {
		found, err := storedImage(images, arg)
		if err == nil && done[found.ID] {
			continue
		}
		if err == nil {
			err = images.Remove(found.ID)
		}
		if err != nil {
			m.err(err)
			failed++
			continue
		}
		done[found.ID] = true
		fmt.Fprintf(p.stdout, "successfully removed aci for image: %q\n", found.ID)
	}
	if len(done) > 0 {
		m.printf("%d image(s) successfully removed", len(done))
	}
	if failed > 0 {
		return fmt.Errorf("%d image(s) cannot be removed", failed)
	}
	return nil
}
