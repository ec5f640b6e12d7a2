package supervisor

import (
	"context"
	"io"
	"os"
	"slices"

	"rkt/internal/appc"
	"rkt/internal/guest/client"
	"rkt/internal/network"
	"rkt/internal/stage1"
)

// Launcher makes the machines of one flavour.
type Launcher interface {
	// Isolation names what the machine will put around the pod: "kvm",
	// "emulated", "container" or "none".
	Isolation() string
	// Notice is one line that the user should know about this host, or "".
	Notice() string
	// Memory returns what a machine whose guest has guestBytes may need in all, 0
	// if it is not to be limited.
	Memory(guestBytes int64) int64
	// Launch starts the machine's processes. They hold the pod's lock and are
	// killed when this program ends, however it ends.
	Launch(ctx context.Context, spec Spec) (Machine, error)
}

// Machine is one running machine.
type Machine interface {
	// Pid is the process that is the machine on the host.
	Pid() int
	// Streams returns the two byte streams to the agent inside.
	Streams() (control, data io.ReadWriteCloser)
	// Attach adds the apps' disks to the machine, read-only, and a disk for what
	// they write. It may be called while the machine boots.
	Attach(ctx context.Context, apps []stage1.AppDisk) (Disks, error)
	// Done is closed when the machine's process has ended.
	Done() <-chan struct{}
	// Kill ends the machine at once. Done tells when that has happened.
	Kill()
	// LastWords returns what the machine or its launcher said about a failure,
	// on one line, or "".
	LastWords() string
}

// Spec is what a machine is made of.
type Spec struct {
	UUID        string // the pod's
	Apps        []appc.RuntimeApp
	Run         stage1.RunArgs
	CPUs        int
	MemoryBytes int64    // of the guest
	DiskBytes   int64    // of the disk for what apps write, 0 for the flavour's choice
	Overlay     bool     // apps' roots need not be copies of their images
	ID          int      // uid and gid that belong to this pod alone
	Lock        *os.File // the pod's lock, to be inherited by every process
	// Disks are the apps', in their order, for machines that can't add disks later.
	Disks []stage1.AppDisk
	// Network is what the machine is to be joined to, nil for nothing.
	Network *network.Network
	// Console gets the machine's boot messages, nil if nobody wants them.
	Console io.Writer
}

// diskCheck names the weakest of what makes sure of the disks.
func diskCheck(disks []stage1.AppDisk, attached []client.Disk) string {
	checks := []string{"record", "hash", "verity"}
	weakest := len(checks) - 1
	for i, disk := range disks {
		if attached[i].Verity == nil {
			weakest = min(weakest, max(0, slices.Index(checks, disk.Checked)))
		}
	}
	return checks[weakest]
}

// Disks are the addresses of a machine's disks.
type Disks struct {
	Scratch *client.Disk // nil if the machine keeps what apps write elsewhere
	Apps    []client.Disk
}
