// Stage1-kvm is every program of the KVM stage1 image: the name it is called by
// says which entry point of the stage1 contract it is.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"rkt/internal/errhint"
	"rkt/internal/linux"
	"rkt/internal/network/guard"
	"rkt/internal/stage1"
	"rkt/internal/stage1/kvm"
	"rkt/internal/stage1/supervisor"
)

// statusError is the exit status of every failure of our own.
const statusError = 254

func main() {
	if linux.IsInit() {
		fmt.Fprintln(os.Stderr, "stage1:", linux.Init())
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
	case "isolation":
		fmt.Println(kvm.Isolation())
		return 0, nil
	}
	return supervisor.EntryPoint(ctx, name, args)
}

func run(ctx context.Context, args []string) (int, error) {
	parsed, err := stage1.ParseRunArgs(args)
	if err != nil {
		return statusError, err
	}
	if parsed.Net.Has(stage1.NetworkHost) {
		return statusError, errors.New("flavor kvm requires private network configuration (try --net)")
	}
	image, err := kvm.OpenImage()
	if err != nil {
		return statusError, err
	}
	return supervisor.Run(ctx, kvm.NewLauncher(image), parsed)
}
