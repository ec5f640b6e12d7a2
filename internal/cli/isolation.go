package cli

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"rkt/internal/errhint"
	"rkt/internal/pod"
	"rkt/internal/stage1"
)

// isolationFlag is the isolation that a pod must have at least, "" for any.
type isolationFlag stage1.Isolation

func (f *isolationFlag) add(flags *pflag.FlagSet) {
	flags.Var(f, "require-isolation",
		"refuse to run the pod with less around it than: kvm, emulated, container or none (default: what is configured)")
}

func (f *isolationFlag) String() string { return string(*f) }
func (f *isolationFlag) Type() string   { return "isolation" }

func (f *isolationFlag) Set(word string) error {
	i, err := stage1.ParseIsolation(word)
	*f = isolationFlag(i)
	return err
}

// requireIsolation refuses a stage1 image that would give a pod less than the
// flag wants. A flag that was not given becomes what is configured. The image is
// asked only if something is wanted.
func (p *program) requireIsolation(ctx context.Context, flag *isolationFlag, image *pod.Stage1) error {
	if *flag == "" {
		configured, err := p.configDirs().Stage1()
		if err != nil {
			return detail(err)
		}
		*flag = isolationFlag(configured.RequireIsolation)
	}
	wanted := stage1.Isolation(*flag)
	if wanted == "" {
		return nil
	}
	has, err := image.Isolation(ctx)
	if err != nil {
		return fmt.Errorf("isolation %q is required: %w", wanted, err)
	}
	if !has.Satisfies(wanted) {
		return errhint.With(fmt.Errorf("isolation %q is required, but this stage1 gives %q on this host", wanted, has),
			"choose another stage1, or another --require-isolation")
	}
	return nil
}
