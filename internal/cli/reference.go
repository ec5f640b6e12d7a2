package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// Commands returns the command line as it is, for those who write about it. It
// is not for running.
func Commands() *cobra.Command {
	p := &program{stdin: os.Stdin, stdout: io.Discard, stderr: io.Discard}
	root := p.newRoot()
	root.InitDefaultHelpCmd()
	return root
}

// WriteReference writes the help of all commands in Markdown: what `rkt help`
// prints, the global options once.
func WriteReference(w io.Writer) error {
	root := Commands()
	var b bytes.Buffer
	b.WriteString("# Commands\n\nWhat `rkt help COMMAND` prints; made by `make docs`.\n")
	writeReference(&b, root)
	_, err := b.WriteTo(w)
	return err
}

func writeReference(b *bytes.Buffer, cmd *cobra.Command) {
	if !cmd.HasParent() || !cmd.HasAvailableSubCommands() {
		cmd.InitDefaultHelpFlag()
		var help bytes.Buffer
		writeHelp(&help, cmd)
		text := help.String()
		if cmd.HasParent() {
			text, _, _ = strings.Cut(text, "\nGLOBAL OPTIONS:\n")
		} else {
			text = withoutVersion(text)
		}
		fmt.Fprintf(b, "\n## %s\n\n```\n%s```\n", cmd.CommandPath(), trimLines(text))
	}
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			writeReference(b, sub)
		}
	}
}

// withoutVersion leaves out what changes without any command changing.
func withoutVersion(text string) string {
	before, rest, _ := strings.Cut(text, "\nVERSION:\n")
	_, after, _ := strings.Cut(rest, "\n\n")
	return before + "\n" + after
}

// trimLines takes white space from the ends of lines.
func trimLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}
