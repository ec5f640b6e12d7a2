package fly

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/guest/approot"
	"rkt/internal/linux"
	"rkt/internal/stage1/supervisor/control"
)

// companion returns the command that a request asks for: like the app, but for
// what the request says.
func (w place) companion(request *control.Exec) (*command, error) {
	section := *w.app.App
	section.Exec = nil
	for _, arg := range request.Exec {
		section.Exec = append(section.Exec, string(arg))
	}
	section.Environment = slices.Clone(section.Environment)
	for _, v := range request.Environment {
		section.Environment.Set(v.Name, v.Value)
	}
	if request.WorkingDirectory != "" {
		section.WorkingDirectory = request.WorkingDirectory
	}
	if request.Privileged {
		section.User, section.Group, section.SupplementaryGIDs = "0", "0", nil
	}
	if request.User != "" {
		section.User, section.SupplementaryGIDs = request.User, nil
	}
	if request.Group != "" {
		section.Group = request.Group
	}
	app := w.app
	app.App = &section
	c, err := newCommand(app, w.root)
	if err != nil {
		return nil, withoutApp(err)
	}
	if request.User != "" && request.Group == "" {
		if gid, ok := approot.PrimaryGroup(w.root, c.uid); ok {
			c.gid = gid
		}
	}
	return c, nil
}

// withoutApp returns an error about a command beside the app, which is not about
// the app.
func withoutApp(err error) error {
	if cause := errors.Unwrap(err); cause != nil {
		return cause
	}
	return err
}

// program is a command beside the app.
type program struct {
	command *command
	request *control.Exec
	stdio   *control.Stdio
	process *os.Process

	files   []*os.File // the program's descriptors
	pty     linux.PTY  // if it has a terminal
	copying sync.WaitGroup
	ended   chan struct{} // closed when it has
}

// hangUpGrace is how long the kernel may take to pass on what was written to a
// terminal, and what the program has left behind may still write there.
const hangUpGrace = time.Second

// newProgram opens what the command reads and writes: the client's own pipes, or
// a terminal that is copied to and from them.
func newProgram(c *command, request *control.Exec, stdio *control.Stdio) (*program, error) {
	p := &program{command: c, request: request, stdio: stdio, ended: make(chan struct{})}
	if request.Terminal != nil {
		return p, p.openTerminal()
	}
	in := stdio.Stdin
	if in == nil {
		null, err := os.Open(os.DevNull)
		if err != nil {
			return nil, err
		}
		in, stdio.Stdin = null, null
	}
	p.files = []*os.File{in, stdio.Stdout, stdio.Stderr}
	for _, f := range p.files {
		// Programs expect them to block.
		if err := unix.SetNonblock(int(f.Fd()), false); err != nil {
			return nil, os.NewSyscallError("fcntl", err)
		}
	}
	return p, nil
}

// openTerminal makes a terminal of the host's, whose /dev the app sees.
func (p *program) openTerminal() error {
	var err error
	if p.pty, err = linux.OpenPTY("/dev/ptmx"); err != nil {
		return err
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(p.pty.Number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return errors.Join(err, p.pty.Master.Close())
	}
	p.files = []*os.File{slave, slave, slave}
	p.resize(p.request.Terminal)
	return slave.Chown(int(p.command.uid), -1)
}

func (p *program) resize(size *control.Size) {
	const most = 1<<16 - 1
	// A size that does not arrive is followed by the next one.
	_ = p.pty.Resize(uint16(min(size.GetRows(), most)), uint16(min(size.GetColumns(), most)))
}

// start executes the program. The client's descriptors are then the program's
// alone.
func (p *program) start() error {
	terminal := p.request.Terminal != nil
	process, err := p.command.start(p.files, syscall.SysProcAttr{Setsid: true, Setctty: terminal})
	if err != nil {
		return withoutApp(err)
	}
	p.process = process
	for _, f := range slices.Compact(p.files) {
		f.Close()
	}
	if !terminal {
		return nil
	}
	p.copying.Go(func() {
		_, _ = io.Copy(struct{ io.Writer }{p.stdio.Stdout}, p.pty.Master)
		p.stdio.Stdout.Close()
	})
	if p.stdio.Stdin != nil {
		go p.copyInput()
	}
	return nil
}

// copyInput ends the terminal's input as a person would, by a key.
func (p *program) copyInput() {
	_, _ = io.Copy(struct{ io.Writer }{p.pty.Master}, p.stdio.Stdin)
	if c := p.pty.EndOfInput(); c != 0 {
		_, _ = p.pty.Master.Write([]byte{c})
	}
}

// obey does what the client asks for. When it is gone, a program on a terminal is
// told that this has hung up. Others only find their pipes closed.
func (p *program) obey(_ context.Context, c *control.Client) {
	for request := range c.Requests() {
		switch kind := request.Kind.(type) {
		case *control.Request_Signal:
			p.signal(unix.Signal(kind.Signal.Signal))
		case *control.Request_Resize:
			if p.request.Terminal != nil {
				p.resize(kind.Resize.Size)
			}
		}
	}
	if p.request.Terminal != nil {
		p.signal(unix.SIGHUP)
	}
}

// signal sends a signal: those that a terminal sends to all in the foreground to
// the whole group, as it would.
func (p *program) signal(s unix.Signal) {
	select {
	case <-p.ended:
		return
	default:
	}
	if s == unix.SIGINT || s == unix.SIGQUIT || s == unix.SIGHUP {
		_ = unix.Kill(-p.process.Pid, s)
		return
	}
	_ = p.process.Signal(s) // one that has ended is no news
}

// finish returns when all that the program wrote is handed over.
func (p *program) finish() {
	close(p.ended)
	if p.request.Terminal != nil {
		_ = p.pty.Master.SetReadDeadline(time.Now().Add(hangUpGrace))
		p.copying.Wait()
	}
}

func (p *program) close() {
	if p.pty.Master != nil {
		p.pty.Master.Close()
	}
}
