package stage1

import (
	"fmt"
	"slices"
	"strings"
)

// Isolation is what a pod has around it.
type Isolation string

// What there is, the strongest first. Emulation is no boundary by itself, but
// the emulator is confined as a container is, and more.
const (
	IsolationKVM       Isolation = "kvm"       // a machine, held by the processor
	IsolationEmulated  Isolation = "emulated"  // a machine without that
	IsolationContainer Isolation = "container" // namespaces of the host's kernel
	IsolationNone      Isolation = "none"
)

// isolations returns all of them, the weakest first.
func isolations() []Isolation {
	return []Isolation{IsolationNone, IsolationContainer, IsolationEmulated, IsolationKVM}
}

// ParseIsolation reads a word.
func ParseIsolation(word string) (Isolation, error) {
	if !slices.Contains(isolations(), Isolation(word)) {
		var words []string
		for _, known := range slices.Backward(isolations()) {
			words = append(words, string(known))
		}
		return "", fmt.Errorf("isolation %q is none of %s", word, strings.Join(words, ", "))
	}
	return Isolation(word), nil
}

// Satisfies tells whether the isolation is at least what is wanted; "" wants
// nothing.
func (i Isolation) Satisfies(wanted Isolation) bool {
	return wanted == "" || slices.Index(isolations(), i) >= slices.Index(isolations(), wanted)
}
