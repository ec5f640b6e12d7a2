package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"rkt/internal/errhint"
)

var (
	errMissingCommand = errors.New("missing command")
	errNotRoot        = errors.New("cannot run as unprivileged user")
	errInterrupted    = errors.New("interrupted")
)

// detailed marks an error that says what is wrong only as a whole, so that it
// is never shortened to its innermost cause.
type detailed struct{ error }

func (d detailed) Unwrap() error { return d.error }

// detail marks err as one that must not be shortened.
func detail(err error) error {
	if err == nil {
		return nil
	}
	return detailed{err}
}

// withoutStatus returns what an error says beside an exit status.
func withoutStatus(err error) error {
	var d detailed
	if errors.As(err, &d) {
		err = d.error
	}
	joined, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // this very link is meant
	if !ok {
		return nil
	}
	var rest []error
	for _, e := range joined.Unwrap() {
		if _, is := e.(statusOnly); !is { //nolint:errorlint // a part of the join
			rest = append(rest, e)
		}
	}
	return errors.Join(rest...)
}

// causes splits an error into the messages of its chain, the outermost first.
// With whole it splits what is marked as detailed, too.
func causes(err error, whole bool) []string {
	var texts []string
	for {
		text, cause := err.Error(), errors.Unwrap(err)
		if _, marked := err.(detailed); marked && !whole { //nolint:errorlint // the mark of this very link is meant
			return append(texts, text)
		}
		if cause == nil || isLeaf(err) || !strings.HasSuffix(text, cause.Error()) {
			return append(texts, text)
		}
		own := strings.TrimSuffix(strings.TrimSuffix(text, cause.Error()), ": ")
		if own != "" {
			texts = append(texts, own)
		}
		err = cause
	}
}

// isLeaf tells whether an error of the standard library says one thing in two
// parts.
func isLeaf(err error) bool {
	switch err.(type) { //nolint:errorlint // the type of this very link is meant
	case *fs.PathError, *os.LinkError, *os.SyscallError, *url.Error, *exec.Error:
		return true
	}
	return false
}

// err prints an error: without --debug what was attempted and the innermost
// cause, with it the whole chain.
func (m messages) err(err error) {
	texts := causes(err, m.debug)
	switch {
	case m.debug:
		m.print(texts[0])
		for i, text := range texts[1:] {
			fmt.Fprintf(m.w, "%*s└─%s\n", 2*(i+1), "", printable(text))
		}
	case len(texts) == 1:
		m.print(texts[0])
	default:
		m.print(texts[0] + ": " + texts[len(texts)-1])
	}
	if hint := errhint.Of(err); hint != "" {
		fmt.Fprintln(m.w, "hint: "+printable(hint))
	}
}

// usage is an error in how a command was called.
func usage(cmd *cobra.Command, err error) error {
	if errhint.Of(err) != "" {
		return err
	}
	return errhint.With(err, fmt.Sprintf("see `%s --help`", cmd.CommandPath()))
}
