package appc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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

// Bounds of isolator values.
const (
	minCPUShares   = 2
	maxCPUShares   = 262144
	maxOOMScoreAdj = 1000
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

// resource is the value of the isolators for memory and processors.
type resource struct {
	Default *bool   `json:"default,omitempty"`
	Request *string `json:"request,omitempty"`
	Limit   *string `json:"limit,omitempty"`
}

// set is the value of the isolators for capabilities and system calls.
type set struct {
	Set   []string `json:"set"`
	Errno string   `json:"errno,omitempty"`
}

// compact takes the white space out of the values, which only marshalling would
// do otherwise.
func (is Isolators) compact() {
	for i := range is {
		var b bytes.Buffer
		if json.Compact(&b, is[i].Value) == nil {
			is[i].Value = b.Bytes()
		}
	}
}

func (is Isolators) validate() error {
	return each("isolators", is, func(i Isolator) error {
		return first(at("name", checkIdentifier(i.Name)), at("value", i.validateValue()))
	})
}

func (i Isolator) validateValue() error {
	switch i.Name {
	case IsolatorMemory, IsolatorCPU:
		_, _, err := i.limit()
		return err
	case IsolatorCPUShares:
		return i.validateInt(minCPUShares, maxCPUShares)
	case IsolatorOOMScoreAdj:
		return i.validateInt(-maxOOMScoreAdj, maxOOMScoreAdj)
	case IsolatorNoNewPrivileges:
		var on bool
		return i.decode(&on)
	case IsolatorCapsRetain, IsolatorCapsRemove:
		_, err := i.capabilities()
		return err
	case IsolatorSeccompRetain, IsolatorSeccompRemove:
		_, err := i.systemCalls()
		return err
	}
	return nil
}

func (i Isolator) decode(v any) error {
	if len(i.Value) == 0 || string(i.Value) == "null" {
		return errors.New("missing")
	}
	if err := json.Unmarshal(i.Value, v); err != nil {
		return describe(i.Value, err)
	}
	return nil
}

func (i Isolator) validateInt(lowest, highest int) error {
	var n int
	if err := i.decode(&n); err != nil {
		return err
	}
	if n < lowest || n > highest {
		return fmt.Errorf("is %d, must be from %d to %d", n, lowest, highest)
	}
	return nil
}

// limit returns the limit of a resource isolator; ok is false if it names
// none.
func (i Isolator) limit() (q Quantity, ok bool, err error) {
	var r resource
	if err := i.decode(&r); err != nil {
		return Quantity{}, false, err
	}
	if r.Request != nil {
		if _, err := ParseQuantity(*r.Request); err != nil {
			return Quantity{}, false, at("request", err)
		}
	}
	if r.Limit == nil {
		return Quantity{}, false, nil
	}
	q, err = ParseQuantity(*r.Limit)
	return q, err == nil, at("limit", err)
}

// lastLimit returns the limit of the last isolator name.
func (is Isolators) lastLimit(name ACIdentifier) (q Quantity, ok bool) {
	for _, i := range is {
		if i.Name == name {
			q, ok, _ = i.limit()
		}
	}
	return q, ok
}

// MemoryLimit returns the limit of memory in bytes.
func (is Isolators) MemoryLimit() (bytes int64, ok bool) {
	q, ok := is.lastLimit(IsolatorMemory)
	return q.Value(), ok
}

// CPULimit returns the limit of processor time in thousandths of a core.
func (is Isolators) CPULimit() (milli int64, ok bool) {
	q, ok := is.lastLimit(IsolatorCPU)
	return q.MilliValue(), ok
}

// NoNewPrivileges says whether any isolator forbids the app to gain
// privileges.
func (is Isolators) NoNewPrivileges() bool {
	for _, i := range is {
		var on bool
		if i.Name == IsolatorNoNewPrivileges && i.decode(&on) == nil && on {
			return true
		}
	}
	return false
}

// MemoryIsolator limits memory.
func MemoryIsolator(q Quantity) Isolator { return resourceIsolator(IsolatorMemory, q) }

// CPUIsolator limits processor time.
func CPUIsolator(q Quantity) Isolator { return resourceIsolator(IsolatorCPU, q) }

func resourceIsolator(name ACIdentifier, q Quantity) Isolator {
	text, off := q.String(), false
	return Isolator{Name: name, Value: marshal(resource{Default: &off, Request: &text, Limit: &text})}
}

// marshal is for values of strings and booleans, which always marshal.
func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
