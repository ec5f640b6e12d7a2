package appc

import (
	"encoding/json"
	"errors"
)

// Names of isolators.
const (
	IsolatorMemory          = "resource/memory"
	IsolatorCPU             = "resource/cpu"
	IsolatorCPUShares       = "os/linux/cpu-shares"
	IsolatorOOMScoreAdj     = "os/linux/oom-score-adj"
	IsolatorCapsRetain      = "os/linux/capabilities-retain-set"
	IsolatorCapsRemove      = "os/linux/capabilities-remove-set"
	IsolatorNoNewPrivileges = "os/linux/no-new-privileges"
	IsolatorSeccompRetain   = "os/linux/seccomp-retain-set"
	IsolatorSeccompRemove   = "os/linux/seccomp-remove-set"
)

// Isolator is one restriction of an app or a pod. Values of the names above
// were checked when the manifest was parsed; other isolators are carried along.
type Isolator struct {
	Name  ACIdentifier    `json:"name"`
	Value json.RawMessage `json:"value,omitempty"`
}

// Isolators are the restrictions of an app or a pod. If a name occurs more
// than once the last one wins, unless a method says otherwise.
type Isolators []Isolator

// MemoryLimit returns the limit of memory in bytes.
func (is Isolators) MemoryLimit() (bytes int64, ok bool) { return 0, false }

// CPULimit returns the limit of processor time in thousandths of a core.
func (is Isolators) CPULimit() (milli int64, ok bool) { return 0, false }

// Capabilities returns the capabilities that the app may have, as "CAP_CHOWN",
// sorted: those of the retain set, or the default ones without those of the
// remove set, or the default ones. Both sets together are an error.
func (is Isolators) Capabilities() ([]string, error) { return nil, errors.ErrUnsupported }

// NoNewPrivileges says whether any isolator forbids the app to gain
// privileges.
func (is Isolators) NoNewPrivileges() bool { return false }

// MemoryIsolator limits memory.
func MemoryIsolator(q Quantity) Isolator { return Isolator{Name: IsolatorMemory} }

// CPUIsolator limits processor time.
func CPUIsolator(q Quantity) Isolator { return Isolator{Name: IsolatorCPU} }
