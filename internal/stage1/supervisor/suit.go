package supervisor

import (
	"errors"
	"fmt"
	"os"

	"rkt/internal/stage1"
)

// suit refuses what was asked for and this kind of machine can't give, and tells
// of what means nothing to it.
func (r *run) suit() error {
	private := r.args.PrivateUsers != stage1.IDRange{}
	parent := r.args.IPC == stage1.IPCParent
	switch {
	case private && r.ownKernel:
		return errors.New("--private-users is for containers: in a virtual machine all users are the pod's own")
	case parent && r.ownKernel:
		return errors.New("flavor kvm requires private IPC namespace (try to remove --ipc)")
	case private && parent:
		return errors.New("--ipc=parent is not for a pod with users of its own: they have no say in the host's IPC")
	}
	if r.ownKernel && !r.pod.overlay {
		fmt.Fprintln(os.Stderr, "warning: a virtual machine puts overlays on the apps' disks by itself: --no-overlay has no effect")
	}
	return nil
}
