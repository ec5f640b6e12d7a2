package supervisor

import (
	"context"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/guest/client"
	"rkt/internal/stage1/applog"
	"rkt/internal/terminal"
)

// drainTimeout is how long the last output may take to be printed when whoever
// reads it is slow.
const drainTimeout = 5 * time.Second

// stdio connects the apps with the descriptors that rkt was started with.
type stdio struct {
	interactive bool
	stops       *stops
	tty         *terminal.Terminal // nil if stdin is none
	printer     *printer
	out         *patientWriter
	logs        map[string]*applog.Log
	input       *lateWriter
	copies      sync.WaitGroup
}

// newStdio takes the terminal if there is one, and reads keys from it: in
// interactive mode for the app, otherwise only to see the pod being ended.
func newStdio(interactive bool, stops *stops, logs map[string]*applog.Log) *stdio {
	stdout := newPatientWriter(os.Stdout)
	s := &stdio{
		interactive: interactive,
		stops:       stops,
		printer:     &printer{now: monotonic, out: stdout},
		out:         stdout,
		logs:        logs,
		input:       &lateWriter{},
	}
	if !terminal.Is(os.Stdin) || (interactive && !terminal.Is(os.Stdout)) {
		return s
	}
	mode, out := terminal.Keys, io.Writer(io.Discard)
	if interactive {
		mode, out = terminal.Raw, s.input
	}
	s.tty = terminal.Open(os.Stdin, mode)
	keys := &terminal.Escapes{Out: out, Quit: stops.key}
	go func() { _, _ = io.Copy(keys, onlyReader{s.tty}) }()
	return s
}

// onlyReader hides every other method of a reader.
type onlyReader struct{ io.Reader }

// prepare says in an app's request how its standard input and output are.
func (s *stdio) prepare(app *client.App) {
	app.Syslog = true
	if !s.interactive {
		return
	}
	app.Stdin = true
	if s.tty != nil {
		size := <-s.tty.Sizes()
		app.Terminal = &client.Size{Rows: size.Rows, Columns: size.Columns}
	}
}

// connect starts to copy what a started app reads and writes. What it writes
// gets into its log before anybody else sees it.
func (s *stdio) connect(ctx context.Context, session *client.Machine, app string, started client.Started) {
	out := started.Stdio
	s.copyOut(app, started.PID, output{applog.Stdout, out.Stdout, os.Stdout})
	if out.Stderr != nil {
		s.copyOut(app, started.PID, output{applog.Stderr, out.Stderr, os.Stderr})
	}
	// A program that finds a system's log may say everything there, and what an
	// app says is to be seen.
	s.copyOut(app, started.PID, output{applog.Syslog, out.Syslog, io.Discard})
	if !s.interactive {
		return
	}
	if s.tty == nil {
		go func() {
			_, _ = io.Copy(out.Stdin, os.Stdin)
			_ = out.Stdin.Close()
		}()
		return
	}
	s.input.connect(out.Stdin)
	go s.followSize(context.WithoutCancel(ctx), session, app)
}

// followSize tells the app whenever the terminal's size changes.
func (s *stdio) followSize(ctx context.Context, session *client.Machine, app string) {
	for {
		select {
		case size := <-s.tty.Sizes():
			// A size that does not arrive is followed by the next one.
			_ = session.Resize(ctx, app, client.Size{Rows: size.Rows, Columns: size.Columns})
		case <-session.Done():
			return
		}
	}
}

// output is one output of an app.
type output struct {
	stream string // its name in the log
	from   io.Reader
	to     io.Writer // in interactive mode
}

func (s *stdio) copyOut(app string, pid int, o output) {
	s.copies.Go(func() {
		log := s.logs[app].Stream(o.stream)
		defer log.Close()
		if s.interactive {
			drainTo(o.to, io.TeeReader(o.from, log))
			return
		}
		printed := s.printer.lines(app, pid)
		defer printed.Close()
		// Neither of them ever fails.
		_, _ = io.Copy(io.MultiWriter(log, printed), o.from)
	})
}

// drain waits until everything that has arrived is printed.
func (s *stdio) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	done := make(chan struct{})
	go func() {
		s.copies.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	s.out.flush(ctx)
}

// close gives the terminal back.
func (s *stdio) close() {
	if s.tty != nil {
		s.tty.Close()
	}
}

// drainTo copies r to w to r's end, even when w fails on the way: an app does
// not end because nobody listens.
func drainTo(w io.Writer, r io.Reader) {
	if _, err := io.Copy(w, r); err != nil {
		_, _ = io.Copy(io.Discard, r)
	}
}

// monotonic returns the host's monotonic clock.
func monotonic() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0 // every kernel has this clock
	}
	return time.Duration(now.Nano())
}

// maxEarlyKeys is how much is kept of what is typed before the app is there.
const maxEarlyKeys = 64 << 10

// lateWriter keeps what is written until it is connected to its destination.
type lateWriter struct {
	mu    sync.Mutex
	early []byte
	to    io.Writer
}

// Write never fails: an app that no longer reads is no reason to stop looking
// for the key that ends the pod.
func (l *lateWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.to != nil:
		_, _ = l.to.Write(b)
	case len(l.early)+len(b) <= maxEarlyKeys:
		l.early = append(l.early, b...)
	}
	return len(b), nil
}

func (l *lateWriter) connect(to io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to = to
	_, _ = to.Write(l.early)
	l.early = nil
}
