package networktest

import (
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// HideFilters makes the programs that filter packets useless to the tests' host,
// until the function it returns is called or the test ends.
func HideFilters(t *testing.T) (restore func()) {
	t.Helper()
	if Dir() == "" {
		t.Fatal("the machine's own programs stay as they are")
	}
	var hidden []string
	restore = sync.OnceFunc(func() {
		for _, path := range hidden {
			if err := unix.Unmount(path, 0); err != nil {
				t.Errorf("show %s again: %v", path, err)
			}
		}
	})
	t.Cleanup(restore)
	for _, program := range []string{"iptables", "ip6tables", "nft"} {
		path, err := exec.LookPath(program)
		if err != nil {
			continue
		}
		if path, err = filepath.EvalSymlinks(path); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("/dev/null", path, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		hidden = append(hidden, path)
	}
	return restore
}
