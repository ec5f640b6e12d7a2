package kvm

import (
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// devKVM is the host's interface to hardware virtualization.
const devKVM = "/dev/kvm"

// Usable tells whether this host can run a stock kernel under KVM. On x86 a
// device that opens is not enough: some nested and paravirtual hosts make
// machines that never boot, and those show neither vmx nor svm.
func Usable() bool {
	f, err := os.OpenFile(devKVM, os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	f.Close()
	if runtime.GOARCH != "amd64" {
		return true
	}
	b, err := os.ReadFile("/proc/cpuinfo")
	return err == nil && hasVirtualization(string(b))
}

// hasVirtualization looks for the flags of Intel's and AMD's virtualization in
// the text of /proc/cpuinfo.
func hasVirtualization(cpuinfo string) bool {
	for line := range strings.Lines(cpuinfo) {
		name, flags, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) != "flags" {
			continue
		}
		words := strings.Fields(flags)
		return slices.Contains(words, "vmx") || slices.Contains(words, "svm")
	}
	return false
}
