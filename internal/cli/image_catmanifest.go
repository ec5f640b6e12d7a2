package cli

import (
	"errors"

	"github.com/spf13/cobra"
)

func (p *program) newImageCatManifest() *cobra.Command {
	var pretty bool
	cmd := &cobra.Command{
		Use:   "cat-manifest [--pretty-print=false] IMAGE",
		Short: "Print the manifest of an image",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, errors.New("must provide one image"))
			}
			images, err := p.openStore()
			if err != nil {
				return err
			}
			defer images.Close()
			found, err := storedImage(images, args[0])
			if err != nil {
				return err
			}
			return writeManifest(p.stdout, found.ManifestJSON, pretty)
		},
	}
	cmd.Flags().BoolVar(&pretty, "pretty-print", true, "indent the manifest")
	return cmd
}
