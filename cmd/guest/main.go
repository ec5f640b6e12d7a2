// Command guest is the agent inside a pod's machine. systemd starts it first
// and alone; everything else it is told by the pod's supervisor.
package main

import (
	"context"
	"fmt"
	"os"

	"rkt/internal/guest/agent"
	"rkt/internal/guest/approot"
	"rkt/internal/guest/systemd"
	"rkt/internal/linux"
)

func main() {
	err := agent.Run(context.Background(), agent.Ports{}, agent.Options{
		Systemd: systemd.PrivateSocket,
		Dirs: approot.Dirs{
			Images:  "/run/rkt/images",
			Roots:   "/opt/stage2",
			Scratch: "/run/rkt/scratch",
			State:   "/run/rkt/state",
		},
		End: linux.Restart,
		Log: os.Stderr,
	})
	// The unit ends the machine if the agent ends.
	fmt.Fprintln(os.Stderr, "agent:", err)
	os.Exit(1)
}
