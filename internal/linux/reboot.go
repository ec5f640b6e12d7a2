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
