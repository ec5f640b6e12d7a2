package kvm

import "os"

// KernelParameters returns the guest kernel's parameters that are the same
// whatever the hypervisor. The root is the first virtio disk, the console the
// first serial line.
func KernelParameters(debug bool) []string {
	params := []string{
		"root=/dev/vda", "rootfstype=erofs", "ro", "init=/usr/lib/rkt/init",
		"console=ttyS0",
		// Without ACPI a guest can only reboot, which ends the hypervisor.
		"reboot=t", "panic=-1",
		"tsc=reliable", "no_timer_check", "noreplace-smp", "cryptomgr.notests", "rcupdate.rcu_expedited=1",
	}
	if debug {
		return append(params, "debug", "systemd.log_level=debug", "systemd.log_target=console", "systemd.show_status=true")
	}
	// Level 1 leaves a panic visible: the machine's last words.
	return append(params, "quiet", "loglevel=1", "systemd.show_status=false", "systemd.log_target=null")
}

// extraParametersEnv is read from the environment of `rkt run`.
const extraParametersEnv = "RKT_HYPERVISOR_EXTRA_KERNEL_PARAMS"

// ExtraParameters returns the guest kernel's parameters that the user adds.
func ExtraParameters() string { return os.Getenv(extraParametersEnv) }
