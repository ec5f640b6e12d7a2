// Stage1-nspawn is every program of the container stage1 image: the name it is called by
// says which entry point of the stage1 contract it is.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"rkt/internal/errhint"
	"rkt/internal/network/guard"
	"rkt/internal/stage1"
	"rkt/internal/stage1/nspawn"
	"rkt/internal/stage1/supervisor"
)

// statusError is the exit status of every failure of our own.
const statusError = 254

// killTimeout bounds how long killed processes may take to be gone.
const killTimeout = 30 * time.Second

// cleanTimeout bounds a collection: on a busy host, plugins of several networks
// may take long.
const cleanTimeout = 5 * time.Minute

func main() {
	if filepath.Base(os.Args[0]) == nspawn.InitName {
		fmt.Fprintln(os.Stderr, "stage1:", nspawn.Init())
		os.Exit(statusError)
	}
	if filepath.Base(os.Args[0]) == guard.Name {
		guard.Main()
		return
	}
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
	case supervisor.HelperName:
		return statusOf(supervisor.Help(ctx, last(args)))
	case "stop":
		ctx, cancel := context.WithTimeout(ctx, killTimeout)
		defer cancel()
		return statusOf(supervisor.Stop(ctx, last(args), slices.Contains(args, "--force")))
	case "gc":
		ctx, cancel := context.WithTimeout(ctx, cleanTimeout)
		defer cancel()
		return statusOf(supervisor.CollectGarbage(ctx, last(args)))
	default:
		return statusError, errors.New("this program is part of a stage1 image and is run by rkt")
	}
}

func run(ctx context.Context, args []string) (int, error) {
	parsed, err := stage1.ParseRunArgs(args)
	if err != nil {
		return statusError, err
	}
	image, err := nspawn.OpenImage()
	if err != nil {
		return statusError, err
	}
	return supervisor.Run(ctx, nspawn.NewLauncher(image), parsed)
}

// last returns the pod's UUID, which ends the arguments of stop and gc.
func last(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[len(args)-1]
}

func statusOf(err error) (int, error) {
	if err != nil {
		return statusError, err
	}
	return 0, nil
}
