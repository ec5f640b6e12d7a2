// Package terminal lends a pod the terminal that rkt was started from and gives
// it back as it was.
//
// A program must not touch a terminal while it is in the background, so the
// mode is changed only in the foreground, and again after each return to it.
package terminal

import (
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Mode is what happens to keys on their way in.
type Mode int

const (
	// Keys delivers each key at once and unseen; Ctrl-C still interrupts and
	// output is processed as ever.
	Keys Mode = iota
	// Raw delivers everything, Ctrl-C included, and leaves output alone.
	Raw
)

// Terminal is a terminal in use.
type Terminal struct {
	file *os.File
	mode Mode

	mu       sync.Mutex
	original *unix.Termios // as it was in the foreground, nil if never changed
	resumed  *sync.Cond    // the program was continued
	closed   bool
	signals  chan os.Signal
	sizes    chan Size
}

// Size is a terminal's size in characters.
type Size struct{ Rows, Columns uint16 }

// Is tells whether f is a terminal.
func Is(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// Open puts the terminal f into a mode, now or when the program comes to the
// foreground. Close puts it back.
func Open(f *os.File, mode Mode) *Terminal {
	t := &Terminal{file: f, mode: mode, signals: make(chan os.Signal, 4), sizes: make(chan Size, 1)}
	t.resumed = sync.NewCond(&t.mu)
	// Without these two ignored, reading or restoring in the background would
	// stop the pod's supervisor.
	signal.Ignore(unix.SIGTTIN, unix.SIGTTOU)
	signal.Notify(t.signals, unix.SIGCONT, unix.SIGWINCH)
	t.apply()
	t.sendSize()
	go t.watch()
	return t
}

// Sizes returns a channel that has the latest size whenever that changed, and
// the first one at once.
func (t *Terminal) Sizes() <-chan Size { return t.sizes }

// Close restores the terminal, unless it belongs to somebody else by now.
func (t *Terminal) Close() {
	signal.Stop(t.signals)
	close(t.signals)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.resumed.Broadcast()
	if t.original != nil && t.foreground() {
		_ = unix.IoctlSetTermios(int(t.file.Fd()), unix.TCSETSW, t.original)
	}
}

// Read reads keys. In the background it waits for the foreground.
func (t *Terminal) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(t.file.Fd()), b)
		switch {
		case err == unix.EINTR:
		case err == unix.EIO && !t.foreground():
			if !t.waitForeground() {
				return 0, os.ErrClosed
			}
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, os.ErrClosed // hung up
		default:
			return n, nil
		}
	}
}

func (t *Terminal) watch() {
	for s := range t.signals {
		if s == unix.SIGCONT {
			t.apply()
			t.mu.Lock()
			t.resumed.Broadcast()
			t.mu.Unlock()
		}
		t.sendSize()
	}
}

func (t *Terminal) waitForeground() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for !t.closed && !t.foreground() {
		t.resumed.Wait()
	}
	return !t.closed
}

// foreground tells whether this program may change the terminal now.
func (t *Terminal) foreground() bool {
	group, err := unix.IoctlGetInt(int(t.file.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// apply changes the mode if that is allowed. What the terminal was is noted
// each time, since a shell may have changed it while we were stopped.
func (t *Terminal) apply() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || !t.foreground() {
		return
	}
	now, err := unix.IoctlGetTermios(int(t.file.Fd()), unix.TCGETS)
	if err != nil {
		return
	}
	changed := t.mode.of(*now)
	if *now == changed {
		return // still ours
	}
	t.original = now
	_ = unix.IoctlSetTermios(int(t.file.Fd()), unix.TCSETSW, &changed)
}

// of returns the settings of the mode. The bits of Raw are those of
// cfmakeraw(3).
func (m Mode) of(s unix.Termios) unix.Termios {
	s.Lflag &^= unix.ICANON | unix.ECHO | unix.ECHONL
	s.Cc[unix.VMIN], s.Cc[unix.VTIME] = 1, 0
	if m == Raw {
		s.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
		s.Oflag &^= unix.OPOST
		s.Lflag &^= unix.ISIG | unix.IEXTEN
		s.Cflag = s.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	}
	return s
}

func (t *Terminal) sendSize() {
	ws, err := unix.IoctlGetWinsize(int(t.file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return
	}
	select {
	case <-t.sizes: // only the latest counts
	default:
	}
	select {
	case t.sizes <- Size{ws.Row, ws.Col}:
	default:
	}
}
