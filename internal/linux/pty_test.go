package linux_test

import (
	"bufio"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"rkt/internal/linux"
)

func TestPTY(t *testing.T) {
	t.Parallel()
	p, err := linux.OpenPTY("/dev/ptmx")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Master.Close()
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", p.Number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	if err := p.Resize(30, 100); err != nil {
		t.Fatal(err)
	}
	size, err := unix.IoctlGetWinsize(int(slave.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Row != 30 || size.Col != 100 {
		t.Errorf("size = %+v, %v", size, err)
	}
	if _, err := slave.WriteString("hello\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(p.Master).ReadString('\n'); line != "hello\r\n" {
		t.Errorf("read %q, %v", line, err)
	}
	const controlD = 4
	if c := p.EndOfInput(); c != controlD {
		t.Errorf("end of input is %#x", c)
	}
}
