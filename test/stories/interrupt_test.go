package stories_test

import (
	"bytes"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"rkt/internal/linux"
)

// interrupted interrupts rkt while it prepares a pod.
func interrupted(t *testing.T, p programs) {
	t.Helper()
	at := newPlace(t, p)
	for _, path := range []string{"data/locks", "data/pods/prepare"} {
		if err := os.MkdirAll(at.dir+"/"+path, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	// A collector of images would keep the preparation waiting like this.
	lock, err := os.Create(at.dir + "/data/locks/prepareLock")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := linux.LockExclusive(lock); err != nil {
		t.Fatal(err)
	}
	// Rkt respects that nohup(1) ignores a signal for it; a program started by one
	// that catches the signal doesn't inherit that.
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	defer signal.Stop(hangUps)
	for _, sent := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		var stderr bytes.Buffer
		cmd := at.command(t, "run", p.images+"/app.aci")
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		err := awaitEntries(at.dir+"/data/pods/prepare", func(pods []os.DirEntry) bool { return len(pods) > 0 })
		if err != nil {
			t.Fatal(err)
		}
		if list := at.must(t, "list"); !strings.Contains(list, "preparing") {
			t.Errorf("list says\n%s", list)
		}
		if err := cmd.Process.Signal(sent); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if cmd.ProcessState.ExitCode() != 254 || !strings.HasSuffix(stderr.String(), ": interrupted\n") {
			t.Errorf("%v: status %d, %s", sent, cmd.ProcessState.ExitCode(), &stderr)
		}
		if err := leftovers(at.dir + "/data"); err != nil {
			t.Errorf("%v: %v", sent, err)
		}
	}
}
