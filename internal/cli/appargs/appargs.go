// Package appargs understands the words that follow a command which takes
// several images, each with flags and arguments of its own:
//
//	IMAGE [--flag…] [-- ARG… [---]] [IMAGE …]
//
// Flags of the command itself may stand before, between and after the images.
// The package does no input or output.
package appargs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"rkt/internal/appc"
)

// App is an image and what was said about it.
type App struct {
	// Image is the image's name, file, URL or id as it was given.
	Image string
	// Args are to be appended to what the image executes.
	Args []string

	Signature         string // file with the detached signature
	Name              string
	Exec              string
	WorkingDir        string
	User, Group       string
	SupplementaryGIDs []int
	ReadOnlyRootFS    bool
	Environment       []Pair
	Annotations       []Pair
	UserAnnotations   []Pair
	UserLabels        []Pair
	Memory, CPU       *appc.Quantity
	CPUShares         *int
	OOMScoreAdj       *int
	CapsRetain        []string
	CapsRemove        []string
	Seccomp           *appc.SystemCalls

	hasArgs bool
}

// Pair is a name with its value. Among the pairs of one flag names are unique.
type Pair struct{ Name, Value string }

// Words that separate one image's arguments from the rest.
const (
	beginArgs = "--"
	endArgs   = "---"
)

// Parser collects apps. Its zero value is ready for use.
type Parser struct {
	// NoArgs refuses arguments for apps, which make no sense for some commands.
	NoArgs bool
	// Apps is what was understood so far.
	Apps []*App
}

// Parse understands words. Those that are flags are looked up in flags, which
// should hold the parser's own, see AddFlags, and those of the command.
func (p *Parser) Parse(words []string, flags *pflag.FlagSet) error {
	for i, inArgs := 0, false; i < len(words); i++ {
		word := words[i]
		switch {
		case inArgs && word == endArgs:
			inArgs = false
		case inArgs:
			p.last().Args = append(p.last().Args, word)
		case word == "", word == endArgs:
		case word == beginArgs:
			if err := p.beginArgs(); err != nil {
				return err
			}
			inArgs = true
		case len(word) > 1 && word[0] == '-':
			took, err := setFlag(words[i:], flags)
			if err != nil {
				return err
			}
			i += took
		default:
			p.Apps = append(p.Apps, &App{Image: word})
		}
	}
	return nil
}

func (p *Parser) last() *App {
	if len(p.Apps) == 0 {
		return nil
	}
	return p.Apps[len(p.Apps)-1]
}

func (p *Parser) beginArgs() error {
	app := p.last()
	switch {
	case p.NoArgs:
		return errors.New("app arguments unsupported")
	case app == nil:
		return errors.New("an image is required before any app arguments")
	case app.hasArgs:
		return errors.New("only one set of app arguments allowed per image")
	}
	app.hasArgs = true
	return nil
}

// setFlag sets the flag that words begin with; took says how many words beyond
// the first its value was.
func setFlag(words []string, flags *pflag.FlagSet) (took int, err error) {
	word, value, hasValue := strings.Cut(words[0], "=")
	flag := lookup(word, flags)
	if flag == nil {
		return 0, fmt.Errorf("unknown flag: %s", word)
	}
	switch {
	case hasValue:
	case flag.NoOptDefVal != "":
		value = flag.NoOptDefVal
	case len(words) > 1:
		value, took = words[1], 1
	default:
		return 0, fmt.Errorf("flag needs an argument: --%s", flag.Name)
	}
	err = flag.Value.Set(value)
	flag.Changed = true
	_, own := flag.Value.(*appValue)
	if err != nil && !own && !strings.HasPrefix(err.Error(), "--"+flag.Name) {
		err = fmt.Errorf("invalid argument %q for \"--%s\" flag: %w", value, flag.Name, err)
	}
	return took, err
}

func lookup(word string, flags *pflag.FlagSet) *pflag.Flag {
	if name, ok := strings.CutPrefix(word, "--"); ok {
		return flags.Lookup(name)
	}
	if len(word) == len("-x") {
		return flags.ShorthandLookup(word[1:])
	}
	return nil
}
