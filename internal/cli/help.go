package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rkt/internal/version"
)

func (p *program) newHelp() *cobra.Command {
	return &cobra.Command{
		Use:                   "help [COMMAND]",
		DisableFlagsInUseLine: true,
		Short:                 "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || about == nil || len(rest) > 0 {
				return usage(cmd, fmt.Errorf("unknown command %q", strings.Join(args, " ")))
			}
			about.InitDefaultHelpFlag()
			p.help(about, nil)
			return nil
		},
	}
}

func (p *program) help(cmd *cobra.Command, _ []string) { writeHelp(p.stdout, cmd) }

// writeHelp prints all about a command.
func writeHelp(out io.Writer, cmd *cobra.Command) {
	w := tabwriter.NewWriter(out, 0, 1, 4, ' ', 0)
	fmt.Fprintf(w, "NAME:\n\t%s - %s\n", cmd.CommandPath(), cmd.Short)
	fmt.Fprintf(w, "\nUSAGE:\n\t%s\n", usageLine(cmd))
	if !cmd.HasParent() {
		fmt.Fprintf(w, "\nVERSION:\n\t%s\n", version.Version)
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprint(w, "\nCOMMANDS:\n")
		helpCommands(w, cmd, "")
	}
	if cmd.Long != "" {
		fmt.Fprintf(w, "\nDESCRIPTION:\n\t%s\n", strings.ReplaceAll(strings.TrimSpace(cmd.Long), "\n", "\n\t"))
	}
	own, global := cmd.NonInheritedFlags(), cmd.InheritedFlags()
	if !cmd.HasParent() {
		own, global = pflag.NewFlagSet("", pflag.ContinueOnError), cmd.PersistentFlags()
	}
	helpFlags(w, "OPTIONS", own)
	helpFlags(w, "GLOBAL OPTIONS", global)
	_ = w.Flush()
}

func usageLine(cmd *cobra.Command) string {
	if cmd.HasAvailableSubCommands() {
		return cmd.CommandPath() + " [command]"
	}
	return cmd.UseLine()
}

// helpCommands lists the commands below cmd, those of headings as "image list".
func helpCommands(w io.Writer, cmd *cobra.Command, prefix string) {
	for _, sub := range cmd.Commands() {
		switch {
		case sub.Hidden:
		case sub.HasAvailableSubCommands():
			helpCommands(w, sub, prefix+sub.Name()+" ")
		default:
			fmt.Fprintf(w, "\t%s\t%s\n", prefix+sub.Name(), sub.Short)
		}
	}
}

func helpFlags(w io.Writer, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value := f.DefValue
		if f.Value.Type() == "string" {
			value = fmt.Sprintf("%q", value)
		}
		form := "  --%s=%s"
		if f.NoOptDefVal != "" {
			form = "  --%s[=%s]"
		}
		fmt.Fprintf(w, form+"\t%s\n", f.Name, value, f.Usage)
	})
}
