package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
)

// messages prints lines for people, each after the name of who says it.
type messages struct {
	w      io.Writer
	prefix string
	debug  bool
}

// messages returns those of a command.
func (p *program) messages(cmd *cobra.Command) messages { return p.messagesOf(cmd.Name()) }

func (p *program) messagesOf(name string) messages {
	return messages{w: p.stderr, prefix: name, debug: p.global.debug}
}

// printf prints a message of one or more lines.
func (m messages) printf(format string, args ...any) { m.print(fmt.Sprintf(format, args...)) }

func (m messages) print(text string) {
	fmt.Fprintf(m.w, "%s: %s\n", m.prefix, printable(strings.TrimRight(text, "\n")))
}

// printable keeps what strangers wrote, into an image or on a server, from
// steering the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
