// Mkaci makes an application image out of files of the build host, for tests
// and demonstrations.
//
//	mkaci -recipe FILE -manifest FILE [-set NAME=VALUE ...] -out FILE.aci
//
// The recipe says what the image holds (see rkt/internal/build/recipe); its
// variable ${multiarch} is there without being set. The manifest is copied as it
// is, so that a test can say anything in it. The same inputs give the same
// bytes.
package main

import (
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"

	"rkt/internal/build/elfdeps"
	"rkt/internal/build/recipe"
)

// options are the command line's.
type options struct {
	recipe, manifest, out string
	plain                 bool
	vars                  map[string][]string
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "mkaci: %v\n", err)
		os.Exit(1)
	}
}

// run makes one image.
func run(args []string) error {
	o := options{vars: map[string][]string{"multiarch": {multiarch()}}}
	f := flag.NewFlagSet("mkaci", flag.ContinueOnError)
	f.StringVar(&o.recipe, "recipe", "", "list of what the image holds")
	f.StringVar(&o.manifest, "manifest", "", "image manifest")
	f.StringVar(&o.out, "out", "", "image to write")
	f.BoolVar(&o.plain, "plain", false, "do not compress")
	f.Func("set", "variable of the recipe, as NAME=VALUE", o.set)
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.recipe == "" || o.manifest == "" || o.out == "" || f.NArg() > 0 {
		return errors.New("usage: mkaci -recipe FILE -manifest FILE [-set NAME=VALUE ...] -out FILE.aci")
	}
	return o.write()
}

// set notes a variable; several values of one name repeat its lines.
func (o *options) set(arg string) error {
	name, value, ok := strings.Cut(arg, "=")
	if !ok {
		return fmt.Errorf("%q is not NAME=VALUE", arg)
	}
	o.vars[name] = append(o.vars[name], value)
	return nil
}

// write builds the tree and writes the image.
func (o *options) write() (err error) {
	manifest, err := os.ReadFile(o.manifest)
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	t, err := recipe.Build(o.recipe, recipe.Options{Vars: o.vars, Libraries: elfdeps.Debian(multiarch())})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(o.out, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if o.plain {
		return t.WriteACI(f, manifest)
	}
	z := gzip.NewWriter(f)
	if err := t.WriteACI(z, manifest); err != nil {
		return err
	}
	return z.Close()
}

// multiarch returns Debian's name for the architecture.
func multiarch() string {
	if runtime.GOARCH == "arm64" {
		return "aarch64-linux-gnu"
	}
	return "x86_64-linux-gnu"
}
