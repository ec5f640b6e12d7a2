//go:build linux

package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"rkt/internal/guest/approot"
	"rkt/internal/guest/guestproto"
	"rkt/internal/guest/mux"
	"rkt/internal/linux"
)

// hangUpGrace is how long a terminal whose app is gone may take to say so.
const hangUpGrace = 2 * time.Second

// copySize is how much is read of an app's output at a time.
const copySize = 32 << 10

// stdio is an app's standard input and output: our ends of its pipes or its
// terminal, and the channels that they are copied from and to.
type stdio struct {
	terminal *guestproto.Terminal // nil for pipes
	in       *mux.Reader          // nil if the app gets no input
	out, err *mux.Writer          // err is nil with a terminal
	syslog   *syslog              // nil if nobody wants it

	pty      linux.PTY
	inPipe   *os.File   // we write here
	outPipes []*os.File // we read here: stdout, stderr
	theirs   []*os.File // the app's ends
	tree     linux.Root // the app's mounts, for its terminal
	ttyPath  string     // of the terminal, for systemd
}

// wantedStdio is what a request says about a program's input and output.
type wantedStdio struct {
	channels *guestproto.Channels
	terminal *guestproto.Terminal
	stdin    bool
}

// openStdio opens the channels that a request names.
func openStdio(s *mux.Session, want wantedStdio) (*stdio, error) {
	c := want.channels
	if c == nil {
		return nil, status.Error(codes.InvalidArgument, "no channels")
	}
	io := &stdio{terminal: want.terminal}
	var errs [4]error
	if want.stdin {
		io.in, errs[0] = s.Receive(c.Stdin)
	}
	io.out, errs[1] = s.Send(c.Stdout)
	if want.terminal == nil {
		io.err, errs[2] = s.Send(c.Stderr)
	}
	if c.Syslog != 0 {
		io.syslog = &syslog{}
		io.syslog.out, errs[3] = s.Send(c.Syslog)
	}
	return io, errors.Join(errs[:]...)
}

// abandon closes the channels of an app that did not start.
func (s *stdio) abandon() {
	if s.in != nil {
		s.in.Close()
	}
	s.out.Close()
	if s.err != nil {
		s.err.Close()
	}
	if s.syslog != nil {
		s.syslog.close()
	}
	s.closeOurs()
}

// prepare makes pipes, or a terminal in the app's root, for a user.
func (s *stdio) prepare(uid uint32, root *approot.Root) error {
	if s.terminal != nil {
		return s.openTerminal(uid, root.Root, root.Path)
	}
	if s.in != nil {
		ours, err := s.pipe(linux.ReadEnd, uid)
		if err != nil {
			return err
		}
		s.inPipe = ours
	}
	for range 2 {
		ours, err := s.pipe(linux.WriteEnd, uid)
		if err != nil {
			return err
		}
		s.outPipes = append(s.outPipes, ours)
	}
	return nil
}

// pipe makes a pipe that belongs to a user, so that an app may open its
// /dev/stdout by name, and returns our end.
func (s *stdio) pipe(theirEnd int, uid uint32) (*os.File, error) {
	theirs, ours, err := linux.PipeFor(theirEnd)
	if err != nil {
		return nil, err
	}
	if err := theirs.Chown(int(uid), -1); err != nil {
		return nil, errors.Join(err, theirs.Close(), ours.Close())
	}
	s.theirs = append(s.theirs, theirs)
	return ours, nil
}

// openTerminal makes a terminal of the app's own. systemd opens it by our
// descriptor, which is of a copy of the app's mounts: so the app finds the
// terminal at the path that /proc says it has open.
func (s *stdio) openTerminal(uid uint32, root linux.Root, path string) error {
	var err error
	if s.pty, err = linux.OpenPTY(filepath.Join(path, "dev/pts/ptmx")); err != nil {
		return err
	}
	tree, err := linux.CopyTree(root.Dir())
	if err != nil {
		return err
	}
	s.tree = linux.RootAt(tree)
	slave, err := s.tree.Open("dev/pts/"+strconv.Itoa(s.pty.Number), unix.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	s.theirs = append(s.theirs, slave)
	if err := slave.Chown(int(uid), -1); err != nil {
		return err
	}
	fd, err := descriptor(slave)
	if err != nil {
		return err
	}
	s.ttyPath = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd)
	return s.resize(s.terminal)
}

// resize sets the terminal's size.
func (s *stdio) resize(size *guestproto.Terminal) error {
	if s.terminal == nil || size == nil {
		return status.Error(codes.FailedPrecondition, "app has no terminal")
	}
	const most = 1<<16 - 1
	return s.pty.Resize(uint16(min(size.Rows, most)), uint16(min(size.Columns, most)))
}

// descriptors returns the app's ends as its descriptors 0, 1 and 2, the first
// from null if it gets no input.
func (s *stdio) descriptors(null *os.File) []*os.File {
	switch {
	case s.terminal != nil:
		return []*os.File{s.theirs[0], s.theirs[0], s.theirs[0]}
	case s.in == nil:
		return append([]*os.File{null}, s.theirs...)
	}
	return s.theirs
}

func (s *stdio) closeTheirs() {
	for _, f := range s.theirs {
		f.Close()
	}
	s.theirs = nil
}

func (s *stdio) closeOurs() {
	for _, f := range append(s.outPipes, s.inPipe, s.pty.Master, s.tree.Dir()) {
		if f != nil {
			f.Close()
		}
	}
}

// run copies until both sides are done.
func (s *stdio) run() {
	if s.terminal != nil {
		go copyOut(s.out, s.pty.Master)
		if s.in != nil {
			go copyIn(s.pty.Master, s.in, s.endOfInput)
		}
		return
	}
	go copyOut(s.out, s.outPipes[0])
	go copyOut(s.err, s.outPipes[1])
	if s.in != nil {
		go copyIn(s.inPipe, s.in, s.inPipe.Close)
	}
}

// endOfInput tells programs on the terminal what a person would by a key.
func (s *stdio) endOfInput() error {
	c := s.pty.EndOfInput()
	if c == 0 {
		return nil
	}
	_, err := s.pty.Master.Write([]byte{c})
	return err
}

// finish is called when all the app's processes are gone: what they wrote is
// in the pipes, and nobody else's keeping of a copy matters.
func (s *stdio) finish() {
	if s.syslog != nil {
		s.syslog.close()
	}
	if s.in != nil {
		s.in.Close()
	}
	if s.inPipe != nil {
		s.inPipe.Close()
	}
	if s.terminal != nil {
		s.tree.Close()
		// The kernel passes on a terminal's output in its own time, then hangs up.
		_ = s.pty.Master.SetReadDeadline(time.Now().Add(hangUpGrace))
	}
	for _, f := range s.outPipes {
		_ = f.SetReadDeadline(time.Now())
	}
}

// drained returns the channels to wait for until the host has all output.
func (s *stdio) drained() []<-chan struct{} {
	channels := []<-chan struct{}{s.out.Stopped()}
	if s.err != nil {
		channels = append(channels, s.err.Stopped())
	}
	if s.syslog != nil {
		channels = append(channels, s.syslog.out.Stopped())
	}
	return channels
}

// copyOut copies an app's output until it ends, or nobody wants it: then the
// pipe is closed, and the app's next write to it fails.
func copyOut(to *mux.Writer, from *os.File) {
	defer from.Close()
	defer to.Close()
	go func() {
		<-to.Stopped()
		from.Close()
	}()
	b := make([]byte, copySize)
	for {
		n, err := from.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			n, err = linux.ReadNow(from, b)
		}
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// copyIn copies an app's input until it ends, or the app reads no more.
func copyIn(to *os.File, from *mux.Reader, end func() error) {
	defer from.Close()
	if _, err := io.Copy(struct{ io.Writer }{to}, from); err == nil {
		_ = end()
	}
}
