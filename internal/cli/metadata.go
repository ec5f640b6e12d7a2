package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"rkt/internal/linux"
	"rkt/internal/metadata"
	"rkt/internal/metadata/service"
)

func (p *program) newMetadataService() *cobra.Command {
	port := uint16(metadata.DefaultPort)
	cmd := &cobra.Command{
		Use:   "metadata-service [--listen-port=PORT]",
		Short: "Answer apps' questions about their pods",
		Long: `Answers what apps of pods that were run with --mds-register ask at the
address in AC_METADATA_URL: manifests, annotations, signatures. It listens on the
gateways of those pods only, and runs until it is told to end.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := requireRoot(); err != nil {
				return err
			}
			if port == 0 {
				return usage(cmd, errors.New("--listen-port must not be 0"))
			}
			return p.serveMetadata(cmd, port)
		},
	}
	cmd.Flags().Uint16Var(&port, "listen-port", port, "TCP port to listen on")
	return cmd
}

func (p *program) serveMetadata(cmd *cobra.Command, port uint16) (err error) {
	m := p.messages(cmd)
	s, err := service.Open(metadata.DefaultDirectory, port, func(line string) { m.print(line) })
	if err != nil {
		return detail(err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	// From here on it reads what guests send.
	if err := linux.DropCapabilities(); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	m.print("Metadata service running")
	return s.Serve(cmd.Context())
}

// registration says whether the pod is to be known to the metadata service.
type registration bool

// check makes sure that there is such a service, before anything is made.
func (r registration) check(ctx context.Context) error {
	if !r {
		return nil
	}
	_, err := metadata.DefaultDirectory.Ask(ctx, "")
	return detail(err)
}
