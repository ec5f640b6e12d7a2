// Stage1-kvm is every program of the KVM stage1 images: the name it is called by
// says which entry point of the stage1 contract it is.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"rkt/internal/linux"
	"rkt/internal/stage1"
	"rkt/internal/stage1/kvm"
	"rkt/internal/stage1/kvm/lkvm"
	"rkt/internal/stage1/supervisor"
)

// statusError is the exit status of every failure of our own.
const statusError = 254

func main() {
	if linux.IsInit() {
		fmt.Fprintln(os.Stderr, "stage1:", linux.Init())
		os.Exit(statusError)
	}
	supervisor.Program{Run: run, Isolation: isolation}.Main()
}

func run(ctx context.Context, args stage1.RunArgs) (int, error) {
	if args.Net.Has(stage1.NetworkHost) {
		return statusError, errors.New("flavor kvm requires private network configuration (try --net)")
	}
	image, err := kvm.OpenImage()
	if err != nil {
		return statusError, err
	}
	if image.Hypervisor() != kvm.HypervisorLKVM {
		return supervisor.Run(ctx, kvm.NewLauncher(image), args)
	}
	launcher, err := lkvm.NewLauncher(image)
	if err != nil {
		return statusError, err
	}
	return supervisor.Run(ctx, launcher, args)
}

// isolation is what a pod has on this host. With lkvm it has that or does not
// run.
func isolation() stage1.Isolation {
	if image, err := kvm.OpenImage(); err == nil && image.Hypervisor() == kvm.HypervisorLKVM {
		return stage1.IsolationKVM
	}
	return kvm.Isolation()
}
