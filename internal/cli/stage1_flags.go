package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"
)

// stage1Choice is what the --stage1-… flags say, at most one of them.
type stage1Choice struct {
	flag, value string
}

// stage1Flag is one of the flags.
type stage1Flag struct {
	choice *stage1Choice
	name   string
}

func (f stage1Flag) String() string { return "" }
func (f stage1Flag) Type() string   { return "string" }

func (f stage1Flag) Set(value string) error {
	switch {
	case f.choice.flag == f.name:
		return fmt.Errorf("--%s already used", f.name)
	case f.choice.flag != "":
		return fmt.Errorf("flags --%s and --%s are mutually exclusive", f.choice.flag, f.name)
	case value == "":
		return errors.New("must not be empty")
	}
	*f.choice = stage1Choice{f.name, value}
	return nil
}

const (
	stage1Name    = "stage1-name"
	stage1URL     = "stage1-url"
	stage1Path    = "stage1-path"
	stage1Hash    = "stage1-hash"
	stage1FromDir = "stage1-from-dir"
)

func (c *stage1Choice) add(flags *pflag.FlagSet) {
	flags.Var(stage1Flag{c, stage1Path}, stage1Path, "file with the image to run the pod in")
	flags.Var(stage1Flag{c, stage1Hash}, stage1Hash, "id of the image to run the pod in")
	flags.Var(stage1Flag{c, stage1FromDir}, stage1FromDir, "name of a file in the directory of stage1 images")
	flags.Var(stage1Flag{c, stage1Name}, stage1Name, "name of the image to run the pod in, such as example.com/stage1:1.0")
	flags.Var(stage1Flag{c, stage1URL}, stage1URL, "URL of the image to run the pod in")
}
