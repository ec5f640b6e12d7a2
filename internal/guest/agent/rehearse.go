//go:build linux

package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/guest/guestproto"
	"rkt/internal/guest/systemd"
	"rkt/internal/syscalls"
)

// rehearseTimeout bounds how long systemd may be busy with it.
const rehearseTimeout = 10 * time.Second

// rehearse has systemd go through all steps of starting an app but the last,
// for there is no program. The code for that is then in memory, and translated
// where the processor is emulated, when the first app comes: half of what its
// start takes. On a single processor it would only delay what comes next, and a
// container's processors are not emulated.
func (a *Agent) rehearse(ctx context.Context, m *systemd.Manager) {
	if runtime.NumCPU() == 1 || a.opts.container() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, rehearseTimeout)
	defer cancel()
	err := startNothing(ctx, m, filepath.Join(a.opts.Dirs.State, "nothing"))
	var start *systemd.StartError
	if !errors.As(err, &start) || start.Step != systemd.StepExec {
		a.logf("rehearsal: %v", err)
	}
}

// startNothing starts a service as an app's would be, in an empty root.
func startNothing(ctx context.Context, m *systemd.Manager, root string) error {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	u := unit{root: root, binary: "/nothing", req: &guestproto.StartAppRequest{
		Name: "nothing",
		Exec: []string{"/nothing"},
		Confinement: &guestproto.Confinement{Syscalls: &guestproto.SyscallFilter{
			Names: syscalls.Withheld(func(string) bool { return false }), Errno: int32(unix.EPERM),
		}},
	}}
	properties, err := u.properties(&stdio{theirs: []*os.File{null, null}})
	if err != nil {
		return err
	}
	_, err = m.Start(ctx, "rehearsal.service", properties)
	return err
}
