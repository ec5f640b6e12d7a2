package cli

import (
	"fmt"

	"github.com/spf13/pflag"
)

// unsupported is a flag that people of rkt 1.30 know and that this version can't
// honour yet: it says so instead of doing without.
type unsupported struct{ name string }

func (unsupported) String() string     { return "" }
func (unsupported) Type() string       { return "string" }
func (u unsupported) Set(string) error { return fmt.Errorf("--%s is not supported yet", u.name) }

// addUnsupported adds such flags, hidden from the help.
func addUnsupported(flags *pflag.FlagSet, names ...string) {
	for _, name := range names {
		flag := flags.VarPF(unsupported{name}, name, "", "")
		flag.Hidden, flag.NoOptDefVal = true, "true"
	}
}
