// What the agent would learn of limits of processors is of no use to it, and looking for
// them makes it start later.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Command guest is the agent inside a pod's machine. It is started first, in a
// machine before systemd, and alone; everything else it is told by the pod's
// supervisor.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"rkt/internal/guest/agent"
	"rkt/internal/guest/approot"
	"rkt/internal/guest/link"
	"rkt/internal/guest/systemd"
	"rkt/internal/linux"
)

func main() {
	if linux.IsCompanion() {
		linux.BecomeCompanion()
		os.Exit(1)
	}
	err := run(context.Background())
	// The unit ends the machine if the agent ends.
	fmt.Fprintln(console{}, "agent:", err)
	os.Exit(1)
}

// besideSystemd is what stage1/guest/init.c tells an agent that it has started
// before systemd.
const besideSystemd = "beside-systemd"

// What a container's host provides.
const (
	hostLink = "/run/host/rkt/link/agent" // the socket that it serves
	hostWork = "/run/host/rkt/work"       // a directory to write to
)

func run(ctx context.Context) error {
	options := agent.Options{Systemd: systemd.PrivateSocket, End: linux.Restart, Log: console{}}
	options.Beside = len(os.Args) > 1 && os.Args[1] == besideSystemd
	if _, err := os.Stat(hostLink); errors.Is(err, fs.ErrNotExist) {
		options.Dirs = below("/run/rkt")
		options.Dirs.Roots = machineRoots
		if transport, found := agent.FindVsock(); found {
			return agent.Run(ctx, transport, options)
		}
		return agent.Run(ctx, agent.Ports{}, options)
	}
	host, err := link.Dial(hostLink)
	if err != nil {
		return err
	}
	options.Dirs, options.Mounts = below(hostWork), host
	// Whoever started a container would start it again after a restart.
	options.End = linux.PowerOff
	return agent.Run(ctx, host, options)
}

// machineRoots is where a machine's first program has made room for roots. systemd
// makes a unit of every mount it sees, which takes it longer than to start an app, but
// takes those below /run/host for somebody else's. And it looks for a unit for each
// element of a root's path, so that is short.
const machineRoots = "/run/host"

// below returns the directories for apps' roots.
func below(dir string) approot.Dirs {
	return approot.Dirs{Images: dir + "/images", Roots: dir + "/stage2", Scratch: dir + "/scratch", State: dir + "/state"}
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
