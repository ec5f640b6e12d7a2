// Package cli is the command line of rkt: one file a command. It parses what
// was typed, calls the packages below, and turns what they return into text or
// JSON and an exit status.
//
// Results go to stdout, everything else to stderr, where each line begins with
// the command's name: "run: …". An error is one line, and a second one that
// begins with "hint: " if there is something to do about it.
package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Exit statuses of rkt itself. Commands that become another program exit with
// that program's.
const (
	statusError   = 254
	statusMissing = 2 // no command was given
)

// program is one run of rkt.
type program struct {
	stdin          *os.File
	stdout, stderr io.Writer
	now            func() time.Time
	global         globalFlags
	reviewer       reviewer
}

// Main runs the command line args, without the program's name, and returns the
// exit status.
func Main(args []string) int {
	p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, now: time.Now}
	ctx, stop := interruptible()
	defer stop()
	// The only switch of cobra's that we need and that is not in a command.
	cobra.EnablePrefixMatching = true
	root := p.newRoot()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return p.exitStatus(cmd, err)
}

// interruptible returns a context that ends with the first of the signals that
// ask a program to end. A second one ends it at once, as ever. Signals that
// whoever started rkt has set to be ignored stay ignored.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	caught := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(caught, s)
		}
	}
	ended := make(chan struct{})
	go func() {
		select {
		case <-caught:
			signal.Stop(caught)
			cancel(errInterrupted)
		case <-ended:
		}
	}()
	return ctx, func() { close(ended); signal.Stop(caught) }
}

// exitStatus prints the error that a command ended with.
func (p *program) exitStatus(cmd *cobra.Command, err error) int {
	if err == nil {
		return 0
	}
	// The whole error may be a status, or what came after one.
	var known statusOnly
	if errors.As(err, &known) {
		if rest := withoutStatus(err); rest != nil {
			p.messages(cmd).err(rest)
		}
		return int(known)
	}
	status := statusError
	if errors.Is(err, errMissingCommand) {
		status = statusMissing
	}
	p.messages(cmd).err(err)
	return status
}

// requireRoot is for commands that can do nothing useful otherwise.
func requireRoot() error {
	if os.Geteuid() != 0 {
		return errNotRoot
	}
	return nil
}
