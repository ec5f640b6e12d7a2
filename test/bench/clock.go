package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/build/tree"
)

// clockProgram is this program's name as the entry point of a stage1 image that
// runs nothing: it says when it was started, and is done. The time until then
// is what rkt itself takes.
const clockProgram = "rkt-bench-clock"

var errClock = errors.New("the stage1 image that does nothing did not tell the time")

// monotonic returns the clock that all processes share.
func monotonic() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0 // every kernel has this clock
	}
	return time.Duration(now.Nano())
}

// printClock is all that the entry point does.
func printClock(w io.Writer) {
	fmt.Fprintf(w, "%s %d\n", marker, monotonic())
}

// runClock runs a pod in that image. The first line is not when it was read
// but what it says.
func (r *rkt) runClock(ctx context.Context) (sample, error) {
	o, err := piped(r.command(ctx, []string{"--stage1-path=" + r.clock}, nil))
	if err != nil {
		return sample{}, err
	}
	began := monotonic() - time.Since(o.begin)
	s, err := o.finish()
	if err != nil {
		return s, err
	}
	_, said, _ := strings.Cut(o.said.String(), marker)
	var at time.Duration
	if _, err := fmt.Sscan(said, &at); err != nil {
		return s, fmt.Errorf("%w: %q", errClock, o.said)
	}
	s.first = at - began
	return s, nil
}

// writeClock makes the image out of this very program.
func writeClock(path string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if program, err = filepath.EvalSymlinks(program); err != nil {
		return err
	}
	t := tree.New()
	if err := t.File(clockProgram, program, 0o755); err != nil {
		return err
	}
	var annotations []string
	for _, entry := range []string{"run", "stop", "gc", "enter"} {
		annotations = append(annotations,
			fmt.Sprintf(`{"name":"coreos.com/rkt/stage1/%s","value":"/%s"}`, entry, clockProgram))
	}
	manifest := fmt.Sprintf(`{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/stage1-clock",`+
		`"labels":[{"name":"version","value":"1.0.0"},{"name":"os","value":"linux"},{"name":"arch","value":"amd64"}],`+
		`"annotations":[%s,{"name":"coreos.com/rkt/stage1/interface-version","value":"7"},`+
		`{"name":"coreos.com/rkt/stage1/app-format","value":"disk"}]}`, strings.Join(annotations, ","))
	return writeACI(path, t, manifest)
}
