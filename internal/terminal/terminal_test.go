package terminal_test

import (
	"os"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"rkt/internal/terminal"
)

// TestInTheBackground shows that a terminal whose foreground belongs to
// somebody else is left as it is.
func TestInTheBackground(t *testing.T) {
	t.Parallel()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer slave.Close()
	before := settings(t, slave)
	lent := terminal.Open(slave, terminal.Raw)
	if got := settings(t, slave); got != before {
		t.Errorf("a terminal that isn't ours was changed: %+v", got)
	}
	lent.Close()
	if got := settings(t, slave); got != before {
		t.Errorf("after Close: %+v", got)
	}
}

func TestSizeIsThereAtOnce(t *testing.T) {
	t.Parallel()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer slave.Close()
	if err := pty.Setsize(master, &pty.Winsize{Rows: 33, Cols: 101}); err != nil {
		t.Fatal(err)
	}
	lent := terminal.Open(slave, terminal.Keys)
	defer lent.Close()
	if got := <-lent.Sizes(); got != (terminal.Size{Rows: 33, Columns: 101}) {
		t.Errorf("size %+v", got)
	}
}

func settings(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *s
}
