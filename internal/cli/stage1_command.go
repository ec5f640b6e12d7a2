package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"rkt/internal/errhint"
)

func (p *program) newStage1() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stage1 [command]",
		Short: "Work on stage1 images",
		Args:  cobra.ArbitraryArgs,
		RunE:  missingCommand,
	}
	cmd.AddCommand(p.newStage1Check())
	return cmd
}

func (p *program) newStage1Check() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Find out whether an image can be a stage1",
		Long: `Reads a stage1 image in a file and says what of the contract in docs/stage1.md
it breaks, one problem a line. Nothing of the image is stored or executed, so any
user may do this.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return p.stage1Check(cmd, args) },
	}
}

// stage1Check prints what an image is, or all that is wrong with it.
func (p *program) stage1Check(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage(cmd, errors.New("must provide the file of one stage1 image"))
	}
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	examined, err := examineStage1(f)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], detail(err))
	}
	for _, problem := range examined.problems {
		p.messages(cmd).printf("%s: %s", args[0], problem)
	}
	if n := len(examined.problems); n > 0 {
		return errhint.With(fmt.Errorf("%s: it breaks the stage1 contract (%d problems)", args[0], n),
			"docs/stage1.md is the contract")
	}
	_, err = fmt.Fprintf(p.stdout, "%s\n", examined)
	return err
}
