package main

import "fmt"

// arch is everything about an image that depends on its processor.
type arch struct {
	// label is appc's name for the architecture.
	label string
	// multiarch is Debian's name of the library directory.
	multiarch string
	// loader is the dynamic loader's path.
	loader string
	// qemu is the program's name.
	qemu string
	// modules are the parts of QEMU that it opens at run time, without ".so".
	modules []string
	// firmware is what QEMU loads for the machines below.
	firmware []string
	// console is the kernel's name of the machines' serial port.
	console string
	// machines are the kinds of machine that an image must boot on.
	machines []machine
}

// machine is one of QEMU's machine types with its way to attach devices.
type machine struct {
	name    string
	options string
	// bus ends the name of each virtio device.
	bus string
}

// architectures returns the one table of what depends on the architecture.
func architectures() map[string]arch {
	return map[string]arch{
		"amd64": {
			label:     "amd64",
			multiarch: "x86_64-linux-gnu",
			loader:    "/lib64/ld-linux-x86-64.so.2",
			qemu:      "qemu-system-x86_64",
			modules:   []string{"accel-tcg-x86_64"},
			firmware: []string{
				"qboot.rom", "bios-microvm.bin", // microvm without and with ACPI
				"bios-256k.bin", "kvmvapic.bin", // q35
				"pvh.bin", "linuxboot_dma.bin", // SeaBIOS starts a kernel with these
			},
			console: "ttyS0",
			machines: []machine{
				{name: "microvm", options: "acpi=off,pic=on,pit=on,rtc=on", bus: "device"},
				{name: "q35", options: "usb=off,vmport=off", bus: "pci"},
			},
		},
	}
}

// findArch returns an architecture's row.
func findArch(name string) (arch, error) {
	a, ok := architectures()[name]
	if !ok {
		return arch{}, fmt.Errorf("architecture %s is not there yet (only amd64)", name)
	}
	return a, nil
}
