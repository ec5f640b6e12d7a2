package stage1

import "fmt"

// IPCMode says whose shared memory, semaphores and message queues a pod's apps
// see.
type IPCMode string

// What a user may ask for; "" is IPCAuto.
const (
	IPCAuto    IPCMode = "auto"    // the stage1's choice
	IPCPrivate IPCMode = "private" // the pod's own
	IPCParent  IPCMode = "parent"  // those of whoever has started rkt
)

// Check refuses what is none of them.
func (m IPCMode) Check() error {
	switch m {
	case "", IPCAuto, IPCPrivate, IPCParent:
		return nil
	}
	return fmt.Errorf("IPC mode %q is none of %s, %s, %s", string(m), IPCAuto, IPCPrivate, IPCParent)
}
