package kvm

import (
	"slices"
	"testing"

	"rkt/internal/network"
	"rkt/internal/stage1/supervisor"
)

func TestHasVirtualization(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, cpuinfo string
		want          bool
	}{
		{"intel", "processor\t: 0\nflags\t\t: fpu vmx sse\n", true},
		{"amd", "flags\t\t: fpu svm\n", true},
		{"hidden by a hypervisor", "flags\t\t: fpu hypervisor\n", false},
		{"only part of a word", "flags\t\t: svme avmx\n", false},
		{"another line", "vmx flags\t: vnmi vmx\nflags\t\t: fpu\n", false},
		{"empty", "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := hasVirtualization(test.cpuinfo); got != test.want {
				t.Errorf("hasVirtualization = %v", got)
			}
		})
	}
}

// TestNothingOfThePodOnTheCommandLine holds the machine generic: what differs
// between two pods of one size must reach the guest through the agent.
func TestNothingOfThePodOnTheCommandLine(t *testing.T) {
	t.Parallel()
	spec := supervisor.Spec{CPUs: 2, MemoryBytes: 384 << 20, ID: 0x70000001}
	parts := machineParts{QEMU: "/usr/bin/qemu", Data: "/usr/share/qemu", Kernel: "/boot/vmlinux"}
	one := machine{parts: parts, spec: spec}.arguments()
	spec.ID = 0x70000002
	other := machine{parts: parts, spec: spec}.arguments()
	if !slices.Equal(one, other) {
		t.Errorf("two pods differ:\n%q\n%q", one, other)
	}
	for _, want := range []string{"-no-reboot", "384M", "-nodefaults"} {
		if !slices.Contains(one, want) {
			t.Errorf("no %s in %q", want, one)
		}
	}
}

// TestDescriptorsOfNetworks shows that each card has a tap, and with vhost one of
// its descriptors as well.
func TestDescriptorsOfNetworks(t *testing.T) {
	t.Parallel()
	spec := supervisor.Spec{Network: &network.Network{Interfaces: []*network.Interface{{MAC: "a"}, {MAC: "b"}}}}
	for _, c := range []struct {
		vhost bool
		want  []string
	}{
		{false, []string{"tap,id=net0,fd=9", "tap,id=net1,fd=10"}},
		{true, []string{"tap,id=net0,fd=9,vhost=on,vhostfd=11", "tap,id=net1,fd=10,vhost=on,vhostfd=12"}},
	} {
		args := machine{spec: spec, kvm: true, vhost: c.vhost}.arguments()
		for _, want := range c.want {
			if !slices.Contains(args, want) {
				t.Errorf("no %s in %q", want, args)
			}
		}
	}
}
