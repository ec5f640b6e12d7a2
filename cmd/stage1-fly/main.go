// Stage1-fly is every program of the stage1 image without isolation: the name it is called by
// says which entry point of the stage1 contract it is.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"rkt/internal/errhint"
	"rkt/internal/stage1"
	"rkt/internal/stage1/fly"
	"rkt/internal/stage1/supervisor"
)

// statusError is the exit status of every failure of our own.
const statusError = 254

func main() {
	status, err := entryPoint(context.Background(), filepath.Base(os.Args[0]), os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "stage1:", err)
		if hint := errhint.Of(err); hint != "" {
			fmt.Fprintln(os.Stderr, "hint:", hint)
		}
	}
	os.Exit(status)
}

func entryPoint(ctx context.Context, name string, args []string) (int, error) {
	if name == "run" {
		return run(ctx, args)
	}
	return supervisor.EntryPoint(ctx, name, args)
}

func run(ctx context.Context, args []string) (int, error) {
	parsed, err := stage1.ParseRunArgs(args)
	if err != nil {
		return statusError, err
	}
	return fly.Run(ctx, parsed)
}
