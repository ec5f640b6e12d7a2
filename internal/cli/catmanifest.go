package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func (p *program) newCatManifest() *cobra.Command {
	var uuidFile uuidFileFlag
	var pretty bool
	cmd := &cobra.Command{
		Use:   "cat-manifest [--pretty-print=false] (--uuid-file=FILE | UUID)",
		Short: "Print the manifest of a pod",
		RunE: func(cmd *cobra.Command, args []string) error {
			uuid, err := uuidFile.uuid(cmd, args)
			if err != nil {
				return err
			}
			return p.catManifest(uuid, pretty)
		},
	}
	cmd.Flags().BoolVar(&pretty, "pretty-print", true, "indent the manifest")
	uuidFile.add(cmd)
	return cmd
}

func (p *program) catManifest(uuid string, pretty bool) error {
	opened, err := p.openPod(uuid)
	if err != nil {
		return err
	}
	defer opened.Close()
	manifest, err := opened.ManifestJSON()
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("pod %q has no manifest", opened.UUID)
	}
	if err != nil {
		return err
	}
	return writeManifest(p.stdout, manifest, pretty)
}
