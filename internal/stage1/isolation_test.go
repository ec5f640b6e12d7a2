package stage1_test

import (
	"testing"

	"rkt/internal/stage1"
)

func TestIsolationSatisfies(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		is, wanted stage1.Isolation
		want       bool
	}{
		{"kvm", "kvm", true},
		{"kvm", "none", true},
		{"emulated", "kvm", false},
		{"emulated", "container", true},
		{"container", "emulated", false},
		{"none", "container", false},
		{"none", "none", true},
		{"none", "", true},
		{"", "", true},
		{"", "none", false},
		{"anything", "none", false},
	} {
		if got := test.is.Satisfies(test.wanted); got != test.want {
			t.Errorf("%q satisfies %q: %v", test.is, test.wanted, got)
		}
	}
}

func TestParseIsolation(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"", "KVM", "vm", "kvm "} {
		if i, err := stage1.ParseIsolation(word); err == nil {
			t.Errorf("%q is %q", word, i)
		}
	}
	if i, err := stage1.ParseIsolation("emulated"); err != nil || i != stage1.IsolationEmulated {
		t.Error(i, err)
	}
}
