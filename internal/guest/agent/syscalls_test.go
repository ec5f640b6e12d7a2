//go:build linux

package agent

import (
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
)

// TestSyscallNumbers compares our numbers with those of a library, and shows
// that no call is withheld by name whose number we don't know.
func TestSyscallNumbers(t *testing.T) {
	t.Parallel()
	names := map[string][]string{"amd64": {"amd64", "386"}, "arm64": {"arm64", "arm"}}[runtime.GOARCH]
	if names == nil {
		t.Fatalf("no numbers for %s", runtime.GOARCH)
	}
	known := map[string]bool{}
	for line := range strings.Lines(strings.TrimSpace(syscallNumbers)) {
		fields := strings.Fields(line)
		known[fields[0]] = true
		for i, name := range names {
			info, err := arch.GetInfo(name)
			if err != nil {
				t.Fatal(err)
			}
			want := "-"
			if n, ok := info.SyscallNames[fields[0]]; ok {
				want = strconv.Itoa(n)
			}
			if got := fields[1+i]; got != want {
				t.Errorf("%s on %s is %s, want %s", fields[0], name, got, want)
			}
		}
	}
	for _, name := range withheldFrom(func(string) bool { return false }) {
		somewhere := known[name]
		for _, machine := range names {
			info, _ := arch.GetInfo(machine)
			if _, ok := info.SyscallNames[name]; ok && !somewhere {
				t.Errorf("%s is withheld, but its number is not listed", name)
			}
		}
	}
}
