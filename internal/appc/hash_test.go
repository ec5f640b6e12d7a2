package appc_test

import (
	"strings"
	"testing"

	"rkt/internal/appc"
)

func TestParseHash(t *testing.T) {
	t.Parallel()
	short, full := "sha512-"+strings.Repeat("a1", 32), "sha512-"+strings.Repeat("a1", 64)
	for _, in := range []string{short, full} {
		h, err := appc.ParseHash(in)
		if err != nil || h.Key() != short {
			t.Errorf("ParseHash(%q) = %q (key %q), %v", in, h, h.Key(), err)
		}
	}
	for _, in := range []string{
		"", "sha512-", "sha512-abc", "sha256-" + short[7:], short[7:], full + "0",
		strings.ToUpper(short), short[:len(short)-1] + "g",
	} {
		if _, err := appc.ParseHash(in); err == nil {
			t.Errorf("ParseHash(%q) succeeded", in)
		}
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add("sha512-" + strings.Repeat("0", 64))
	f.Add("sha512-" + strings.Repeat("f", 128))
	f.Add("sha512-../../x")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := appc.ParseHash(s)
		if err != nil {
			return
		}
		if len(h.Key()) != 71 || strings.ContainsAny(h.Key(), "/.") || !appc.IsHash(s) {
			t.Errorf("%q was accepted", s)
		}
	})
}
