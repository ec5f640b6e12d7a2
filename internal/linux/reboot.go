package linux

import (
	"os"

	"golang.org/x/sys/unix"
)

// Restart restarts the machine at once, which a hypervisor may take for its
// end. Nothing is stopped or written out before. It returns only on failure.
func Restart() error {
	return os.NewSyscallError("reboot", unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART))
}

// PowerOff ends the machine at once, or the container if this is one, in the
// way that is not taken for a wish to be started again. It returns only on
// failure.
func PowerOff() error {
	return os.NewSyscallError("reboot", unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
}
