package lkvm

import (
	"fmt"
	"strconv"
	"strings"

	"rkt/internal/stage1/kvm"
	"rkt/internal/stage1/supervisor"
)

// fdTaps is the first of the taps' descriptors; the lock has the one before, only
// to be held.
const fdTaps = 4

// arguments returns lkvm's command line, as seen from inside its jail.
func arguments(program, kernel string, spec supervisor.Spec) []string {
	args := []string{
		program, "run", "--nodefaults", "--loglevel", "error", "--name", "pod",
		"--cpus", strconv.Itoa(spec.CPUs),
		"--mem", strconv.FormatInt(spec.MemoryBytes/mebibyte, 10) + "M",
		"--kernel", kernel, "--params", kernelParameters(spec),
		"--console", "serial", "--rng", "--vsock", strconv.Itoa(spec.ID),
		"--disk", devRoot + ",ro",
	}
	for n := range spec.Disks {
		args = append(args, "--disk", devApp(n)+",ro")
	}
	args = append(args, "--disk", devScratch)
	if spec.Network == nil {
		return append(args, "--network", "mode=none")
	}
	for n, i := range spec.Network.Interfaces {
		// The name of the tap is not one: of what begins with a slash lkvm
		// believes that it needs no setting up.
		args = append(args, "--network", fmt.Sprintf(
			"mode=tap,fd=%d,tapif=/tap%d,script=none,downscript=none,guest_mac=%s", fdTaps+n, n, i.MAC))
	}
	return args
}

// kernelParameters returns the guest kernel's command line, which says nothing
// of the pod. lkvm emulates no I/O interrupt controller that the kernel could
// find without ACPI, and PCI only by its oldest mechanism.
func kernelParameters(spec supervisor.Spec) string {
	params := append(kvm.KernelParameters(spec.Console != nil), "noapic", "pci=conf1")
	if extra := kvm.ExtraParameters(); extra != "" {
		params = append(params, extra)
	}
	return strings.Join(params, " ")
}
