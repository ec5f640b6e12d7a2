package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"rkt/internal/appc"
	"rkt/internal/version"
)

func (p *program) newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version and exit",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(p.stdout,
				"rkt Version: %s\nappc Version: %s\nGo Version: %s\nGo OS/Arch: %s/%s\nFeatures: -TPM -SDJOURNAL\n",
				version.Version, appc.SpecVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
