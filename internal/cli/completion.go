package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"rkt/internal/errhint"
)

func (p *program) newCompletion() *cobra.Command {
	return &cobra.Command{
		Use:       "completion SHELL",
		Short:     "Output shell completion code for bash, zsh or fish",
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, fmt.Errorf("must provide the name of one shell"))
			}
			switch args[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(p.stdout, true)
			case "zsh":
				return cmd.Root().GenZshCompletion(p.stdout)
			case "fish":
				return cmd.Root().GenFishCompletion(p.stdout, true)
			}
			return errhint.With(fmt.Errorf("unsupported shell %q", args[0]), "there is completion for bash, zsh and fish")
		},
	}
}
