package appc_test

import (
	"testing"

	"rkt/internal/appc"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in               string
		name, identifier bool
	}{
		{"etcd", true, true},
		{"a", true, true},
		{"0", true, true},
		{"a-b-3", true, true},
		{"coreos.com/etcd", false, true},
		{"example.com/a_b~c", false, true},
		{"", false, false},
		{"-a", false, false},
		{"a-", false, false},
		{"a--b", false, false},
		{"a..b", false, false},
		{"a/../b", false, false},
		{"/a", false, false},
		{"a/", false, false},
		{"a//b", false, false},
		{"Etcd", false, false},
		{"a b", false, false},
		{"a\x00", false, false},
		{"é", false, false},
	} {
		if _, err := appc.NewACName(tc.in); (err == nil) != tc.name {
			t.Errorf("NewACName(%q): %v", tc.in, err)
		}
		if _, err := appc.NewACIdentifier(tc.in); (err == nil) != tc.identifier {
			t.Errorf("NewACIdentifier(%q): %v", tc.in, err)
		}
	}
}

func TestSanitizeACName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"etcd": "etcd", "My_App": "my-app", "--x--": "x", "a..b": "a-b", "ÄxÖ": "x",
	} {
		if got, err := appc.SanitizeACName(in); err != nil || string(got) != want {
			t.Errorf("SanitizeACName(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "---", "Ä"} {
		if got, err := appc.SanitizeACName(in); err == nil {
			t.Errorf("SanitizeACName(%q) = %q, want an error", in, got)
		}
	}
}

func FuzzSanitizeACName(f *testing.F) {
	for _, s := range []string{"etcd", "My_App", "--", "a\xffb", "K"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := appc.SanitizeACName(s)
		if err != nil {
			return
		}
		if again, err := appc.SanitizeACName(string(name)); err != nil || again != name {
			t.Errorf("%q became %q, and that %q, %v", s, name, again, err)
		}
	})
}

func FuzzACIdentifier(f *testing.F) {
	for _, s := range []string{"coreos.com/etcd", "a~b_c", "a..b", "../a", "A"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := appc.NewACIdentifier(s)
		if err != nil {
			return
		}
		for i, r := range string(id) {
			if r > '~' || i == 0 && (r == '/' || r == '.') {
				t.Errorf("%q was accepted", s)
			}
		}
	})
}
