package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/fault"
	"rkt/internal/linux"
	"rkt/internal/stage1"
	"rkt/internal/stage1/supervisor/control"
	"rkt/internal/terminal"
)

// Exec runs a command beside an app of the pod in the working directory, on
// this program's stdio, and returns its exit status: 254 with an error.
func Exec(args stage1.ExecArgs) (int, error) {
	e := &execution{args: args}
	status, err := e.run()
	if err != nil {
		return statusOwnError, err
	}
	return status, nil
}

// execution is a command from its start to its end.
type execution struct {
	args    stage1.ExecArgs
	tty     *terminal.Terminal // nil if stdin is none
	session *control.Session

	stdin   *os.File   // we write here; nil if the command gets none
	from    []*os.File // we read its outputs here
	outputs sync.WaitGroup
}

func (e *execution) run() (int, error) {
	// Before the command starts, so that none is missed.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	defer signal.Stop(signals)
	if e.args.Terminal && e.args.Interactive && terminal.Is(os.Stdin) {
		e.tty = terminal.Open(os.Stdin, terminal.Raw)
		defer e.tty.Close()
	}
	if err := e.start(); err != nil {
		return 0, err
	}
	go func() {
		for s := range signals {
			if number, ok := s.(unix.Signal); ok {
				_ = e.session.Signal(number)
			}
		}
	}()
	if e.tty != nil {
		go func() {
			for size := range e.tty.Sizes() {
				_ = e.session.Resize(size.Rows, size.Columns)
			}
		}()
	}
	e.copyInput()
	status, err := e.session.Wait()
	if errors.Is(err, control.ErrNotRunning) {
		err = errors.New("the pod ended before the command did")
	}
	// What the command wrote is in the pipes by now. What it has left behind may
	// keep them open.
	for _, f := range e.from {
		_ = f.SetReadDeadline(time.Now())
	}
	e.outputs.Wait()
	return status, err
}

// start asks the supervisor to run the command, with the far ends of pipes.
func (e *execution) start() error {
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
	}()
	if e.args.Interactive {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		e.stdin, theirs = w, append(theirs, r)
	}
	outputs := []*os.File{os.Stdout}
	if !e.args.Terminal {
		outputs = append(outputs, os.Stderr)
	}
	var ours []*os.File
	for range outputs {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		ours, theirs = append(ours, r), append(theirs, w)
	}
	fault.Point("exec.ask.before")
	session, err := control.StartExec(e.request(), theirs...)
	fault.Point("exec.ask.after")
	if err != nil {
		return err
	}
	e.session, e.from = session, ours
	for i, to := range outputs {
		e.outputs.Go(func() { carryOut(to, ours[i]) })
	}
	return nil
}

// carryOut copies the command's output, as far as it is there once the command
// has ended. If nobody wants it any more, the command finds its own end closed.
func carryOut(to io.Writer, from *os.File) {
	defer from.Close()
	_, err := io.Copy(to, from)
	b := make([]byte, 64<<10)
	for errors.Is(err, os.ErrDeadlineExceeded) {
		n, readErr := linux.ReadNow(from, b)
		if n == 0 || readErr != nil {
			return
		}
		if _, writeErr := to.Write(b[:n]); writeErr != nil {
			return
		}
	}
}

func (e *execution) request() *control.Exec {
	request := &control.Exec{
		App:              e.args.App,
		User:             e.args.User,
		Group:            e.args.Group,
		WorkingDirectory: e.args.WorkingDirectory,
		Privileged:       e.args.Privileged,
		Stdin:            e.args.Interactive,
	}
	for _, arg := range e.args.Command {
		request.Exec = append(request.Exec, []byte(arg))
	}
	if e.args.Terminal {
		request.Terminal = e.size()
		if term := os.Getenv("TERM"); term != "" {
			request.Environment = append(request.Environment, &control.Variable{Name: "TERM", Value: strings.ToValidUTF8(term, "?")})
		}
	}
	for _, v := range e.args.Environment {
		name, value, _ := strings.Cut(v, "=")
		request.Environment = append(request.Environment, &control.Variable{Name: name, Value: value})
	}
	return request
}

// size returns the size of our terminal, or of those that had none.
func (e *execution) size() *control.Size {
	if e.tty == nil {
		return &control.Size{Rows: 24, Columns: 80}
	}
	size := <-e.tty.Sizes()
	return &control.Size{Rows: uint32(size.Rows), Columns: uint32(size.Columns)}
}

// copyInput gives the command our stdin until either ends.
func (e *execution) copyInput() {
	if e.stdin == nil {
		return
	}
	in := io.Reader(os.Stdin)
	if e.tty != nil {
		in = onlyReader{e.tty}
	}
	go func() {
		_, _ = io.Copy(struct{ io.Writer }{e.stdin}, in)
		e.stdin.Close()
	}()
}

// ParseExec reads the arguments of the exec and enter entry points. Enter gives
// the command the caller's stdin, and a terminal if that is one.
func ParseExec(args []string, enter bool) (stage1.ExecArgs, error) {
	parsed, err := stage1.ParseExecArgs(args)
	if err != nil {
		return parsed, fmt.Errorf("arguments: %w", err)
	}
	if enter {
		parsed.Interactive = true
		parsed.Terminal = terminal.Is(os.Stdin) && terminal.Is(os.Stdout)
	}
	return parsed, nil
}
