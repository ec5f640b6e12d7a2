// Stage1-fly is every program of the stage1 image without isolation: the name it is called by
// says which entry point of the stage1 contract it is.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"rkt/internal/errhint"
	"rkt/internal/stage1"
	"rkt/internal/stage1/fly"
	"rkt/internal/stage1/supervisor"
)

// statusError is the exit status of every failure of our own.
const statusError = 254

// killTimeout bounds how long killed processes may take to be gone.
const killTimeout = 30 * time.Second

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
	switch name {
	case "run":
		return run(ctx, args)
	case "stop":
		parsed, err := stage1.ParseStopArgs(args)
		if err != nil {
			return statusError, err
		}
		ctx, cancel := context.WithTimeout(ctx, killTimeout)
		defer cancel()
		if err := fly.Stop(ctx, parsed); err != nil {
			return statusError, err
		}
		return 0, nil
	case "gc":
		return supervisor.EntryPoint(ctx, name, args)
	default:
		return statusError, errors.New("this program is part of a stage1 image and is run by rkt")
	}
}

func run(ctx context.Context, args []string) (int, error) {
	parsed, err := stage1.ParseRunArgs(args)
	if err != nil {
		return statusError, err
	}
	return fly.Run(ctx, parsed)
}
