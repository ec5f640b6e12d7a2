// Stage1-nspawn is every program of the container stage1 image: the name it is called by
// says which entry point of the stage1 contract it is.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"rkt/internal/stage1"
	"rkt/internal/stage1/nspawn"
	"rkt/internal/stage1/supervisor"
)

// statusError is the exit status of every failure of our own.
const statusError = 254

func main() {
	if filepath.Base(os.Args[0]) == nspawn.InitName {
		fmt.Fprintln(os.Stderr, "stage1:", nspawn.Init())
		os.Exit(statusError)
	}
	supervisor.Program{Run: run}.Main()
}

func run(ctx context.Context, args stage1.RunArgs) (int, error) {
	image, err := nspawn.OpenImage()
	if err != nil {
		return statusError, err
	}
	return supervisor.Run(ctx, nspawn.NewLauncher(image), args)
}
