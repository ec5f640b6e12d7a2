package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// commandTimeout bounds one command.
	commandTimeout = 5 * time.Minute
	// lateOutput is how long output may take after the command's end.
	lateOutput = time.Second
	// maxOutput is how much of a command's output is kept for an error.
	maxOutput = 64 << 10
)

// errSilent is returned for a command that ended without the marker.
var errSilent = errors.New("did not say what it should")

// sample is one measurement, from before the process was made.
type sample struct {
	first time.Duration // to the marker
	exit  time.Duration // to the end of the process
	peak  int64         // most memory that it had in bytes, 0 if not measured
}

// observation is a running command whose output is watched.
type observation struct {
	cmd    *exec.Cmd
	output *os.File
	begin  time.Time
	seen   chan time.Time // the marker's time, closed at the end of output
	said   *strings.Builder
}

// observe starts cmd and watches output, the read end of where it writes. The
// other ends are closed once it runs.
func observe(cmd *exec.Cmd, output *os.File, theirs ...*os.File) (*observation, error) {
	o := &observation{cmd: cmd, output: output, seen: make(chan time.Time, 1), said: &strings.Builder{}}
	o.begin = time.Now()
	err := cmd.Start()
	for _, f := range theirs {
		f.Close()
	}
	if err != nil {
		output.Close()
		return nil, err
	}
	go o.watch()
	return o, nil
}

// watch looks for the marker and keeps the beginning of what was said.
func (o *observation) watch() {
	defer close(o.seen)
	lines := bufio.NewReader(o.output)
	found := false
	for {
		line, err := lines.ReadString('\n')
		if !found && strings.Contains(line, marker) {
			found = true
			o.seen <- time.Now()
		}
		if o.said.Len() < maxOutput {
			o.said.WriteString(line)
		}
		if err != nil {
			return
		}
	}
}

// finish waits for the command's end.
func (o *observation) finish() (sample, error) {
	var s sample
	failure := o.cmd.Wait()
	s.exit = time.Since(o.begin)
	// Somebody else may still hold the other end.
	if err := o.output.SetReadDeadline(time.Now().Add(lateOutput)); err != nil {
		failure = errors.Join(failure, err)
	}
	first, ok := <-o.seen
	for range o.seen { // until watch has returned
	}
	o.output.Close()
	s.first = first.Sub(o.begin)
	if failure == nil && !ok {
		failure = errSilent
	}
	if failure != nil {
		return s, fmt.Errorf("%s: %w: %s", o.cmd.Path, failure, o.said)
	}
	return s, nil
}

// await returns when the marker was seen. The time of it is lost.
func (o *observation) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	select {
	case _, ok := <-o.seen:
		if !ok {
			return fmt.Errorf("%s: %w: %s", o.cmd.Path, errSilent, o.said)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", o.cmd.Path, ctx.Err())
	}
}

// piped starts a command that writes to a pipe.
func piped(cmd *exec.Cmd) (*observation, error) {
	output, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = theirs, theirs
	return observe(cmd, output, theirs)
}

// timed runs a command that writes to a pipe, from start to end.
func timed(cmd *exec.Cmd) (sample, error) {
	o, err := piped(cmd)
	if err != nil {
		return sample{}, err
	}
	return o.finish()
}

// timedToEnd runs a command that has nothing special to say. The peak of its
// memory is no less than that of this very program, which starts it: the kernel
// counts what a process was before it executed another program.
func timedToEnd(cmd *exec.Cmd) (s sample, output string, err error) {
	begin := time.Now()
	output, err = finishTool(cmd)
	s.exit = time.Since(begin)
	if err != nil {
		return s, output, err
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.peak = usage.Maxrss << 10
	}
	return s, output, nil
}

// tool runs a program whose time doesn't matter and returns its standard
// output. Its complaints are part of the error.
func tool(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	return finishTool(exec.CommandContext(ctx, name, args...))
}

func finishTool(cmd *exec.Cmd) (string, error) {
	var out, complaints strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaints
	// Somebody whom it started may keep its output open.
	cmd.WaitDelay = lateOutput
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", cmd.Path, err, complaints.String())
	}
	return out.String(), nil
}
