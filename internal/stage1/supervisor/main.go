package supervisor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"rkt/internal/errhint"
	"rkt/internal/network/guard"
	"rkt/internal/stage1"
)

// Program is what the programs of stage1 images with a supervisor differ in.
type Program struct {
	// Run is the entry point of that name.
	Run func(context.Context, stage1.RunArgs) (int, error)
	// Isolation is what pods have on this host; nil if that is the same on every
	// host, so that there is no such entry point.
	Isolation func() stage1.Isolation
}

// Main is the main function of such a program: the name it is called by says
// which entry point of the stage1 contract it is. It does not return.
func (p Program) Main() {
	name := filepath.Base(os.Args[0])
	if name == guard.Name {
		guard.Main()
		os.Exit(0)
	}
	status, err := p.entryPoint(context.Background(), name, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "stage1:", err)
		if hint := errhint.Of(err); hint != "" {
			fmt.Fprintln(os.Stderr, "hint:", hint)
		}
	}
	os.Exit(status)
}

func (p Program) entryPoint(ctx context.Context, name string, args []string) (int, error) {
	switch {
	case name == "run":
		parsed, err := stage1.ParseRunArgs(args)
		if err != nil {
			return statusOwnError, err
		}
		return p.Run(ctx, parsed)
	case name == "isolation" && p.Isolation != nil:
		_, err := fmt.Println(p.Isolation())
		return statusOf(err)
	}
	return EntryPoint(ctx, name, args)
}
