// Command guest is the agent inside a pod's machine. systemd starts it first
// and alone; everything else it is told by the pod's supervisor.
package main

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"rkt/internal/guest/agent"
	"rkt/internal/guest/approot"
	"rkt/internal/guest/systemd"
	"rkt/internal/linux"
)

func main() {
	err := agent.Run(context.Background(), agent.Ports{}, agent.Options{
		Systemd: systemd.PrivateSocket,
		// systemd makes a unit of every mount it sees, which takes it longer than
		// to start an app, but takes those below /run/host for somebody else's.
		Dirs: approot.Dirs{
			Images:  "/run/host/rkt/images",
			Roots:   "/run/host/rkt/stage2",
			Scratch: "/run/host/rkt/scratch",
			State:   "/run/host/rkt/state",
		},
		End: linux.Restart,
		Log: console{},
	})
	// The unit ends the machine if the agent ends.
	fmt.Fprintln(console{}, "agent:", err)
	os.Exit(1)
}

// console writes to the machine's console. It is opened each time, which is
// seldom: an agent that has nothing to say doesn't wait for a serial line.
type console struct{}

// Write writes p to the console, if there is one.
func (console) Write(p []byte) (int, error) {
	f, err := os.OpenFile("/dev/console", os.O_WRONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Write(p)
}
