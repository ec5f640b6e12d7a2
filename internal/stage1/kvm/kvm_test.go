package kvm

import (
	"slices"
	"testing"

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
