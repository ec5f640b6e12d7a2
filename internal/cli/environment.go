package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"rkt/internal/cli/appargs"
	"rkt/internal/cli/podmanifest"
)

// maxVariable bounds a line of a file with variables.
const maxVariable = 1 << 20

// environmentFlags set variables for all apps of a pod.
type environmentFlags struct {
	inherit bool
	set     pairsFlag
	files   filesFlag
}

func (f *environmentFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&f.inherit, "inherit-env", false, "pass rkt's own environment on to all apps")
	flags.Var(&f.set, "set-env", "environment variable for all apps, as name=value")
	flags.Var(&f.files, "set-env-file", "file with environment variables for all apps, one name=value a line")
}

// given says whether anything was said about variables.
func (f *environmentFlags) given() bool { return f.inherit || len(f.set) > 0 || len(f.files) > 0 }

// read returns the variables that the flags and files set.
func (f *environmentFlags) read() (*podmanifest.Options, error) {
	o := &podmanifest.Options{Variables: f.set}
	for _, path := range f.files {
		if err := readVariables(path, &o.FileVariables); err != nil {
			return nil, err
		}
	}
	if f.inherit {
		for _, variable := range os.Environ() {
			if pair, err := appargs.ParsePair(variable); err == nil {
				o.Inherited = append(o.Inherited, pair)
			}
		}
	}
	return o, nil
}

// readVariables adds the variables in a file. Empty lines and those that begin
// with # or ; are comments.
func readVariables(path string, to *[]appargs.Pair) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxVariable)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		pair, err := appargs.ParsePair(line)
		if err != nil {
			return fmt.Errorf("environment variable must be specified as name=value (file %q)", path)
		}
		if appargs.AddPair(to, pair) != nil {
			return fmt.Errorf("environment variable %q already set (file %q)", pair.Name, path)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// pairsFlag is a repeatable flag of the form name=value.
type pairsFlag []appargs.Pair

func (f *pairsFlag) Type() string { return "name=value" }

func (f *pairsFlag) String() string {
	var words []string
	for _, pair := range *f {
		words = append(words, pair.Name+"="+pair.Value)
	}
	return strings.Join(words, " ")
}

func (f *pairsFlag) Set(value string) error {
	pair, err := appargs.ParsePair(value)
	if err != nil {
		return err
	}
	return appargs.AddPair((*[]appargs.Pair)(f), pair)
}

// filesFlag is a repeatable flag with the path of a file.
type filesFlag []string

func (f *filesFlag) Type() string   { return "file" }
func (f *filesFlag) String() string { return strings.Join(*f, " ") }

func (f *filesFlag) Set(value string) error {
	if value == "" {
		return errors.New("must not be empty")
	}
	*f = append(*f, value)
	return nil
}
