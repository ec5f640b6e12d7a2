package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rkt/internal/errhint"
)

// maxTypos is how many letters a word may be off to be taken for a command.
const maxTypos = 2

// newRoot returns the command with all its sub-commands.
func (p *program) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:               "rkt",
		Short:             "rkt, the application container runner",
		Args:              cobra.ArbitraryArgs,
		RunE:              missingCommand,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	p.global.add(root.PersistentFlags())
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetHelpFunc(p.help)
	root.SetFlagErrorFunc(usage)
	root.AddCommand(
		p.newCatManifest(),
		p.newCompletion(),
		p.newConfig(),
		p.newEnter(),
		p.newExec(),
		p.newFetch(),
		p.newGC(),
		p.newImage(),
		p.newList(),
		p.newLogs(),
		p.newMetadataService(),
		p.newPrepare(),
		p.newRm(),
		p.newRun(),
		p.newRunPrepared(),
		p.newStage1(),
		p.newStatus(),
		p.newStop(),
		p.newTrust(),
		p.newVersion(),
	)
	root.SetHelpCommand(p.newHelp())
	p.addCompletion(root)
	plainUsage(root)
	return root
}

// plainUsage leaves the usage lines of all commands as they were written.
func plainUsage(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine = true
	for _, sub := range cmd.Commands() {
		plainUsage(sub)
	}
}

// missingCommand is the action of a command that is only a heading for others.
func missingCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		writeHelp(cmd.ErrOrStderr(), cmd)
		return errMissingCommand
	}
	var matches []string
	for _, sub := range cmd.Commands() {
		if !sub.Hidden && strings.HasPrefix(sub.Name(), args[0]) {
			matches = append(matches, sub.Name())
		}
	}
	if len(matches) > 1 {
		return errhint.With(fmt.Errorf("ambiguous command %q", args[0]), "say which of: "+strings.Join(matches, ", "))
	}
	hint := fmt.Sprintf("`%s --help` lists the commands", cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = maxTypos
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return errhint.With(fmt.Errorf("unknown command %q", args[0]), hint)
}

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(cmd, fmt.Errorf("unexpected argument %q", args[0]))
	}
	return nil
}
