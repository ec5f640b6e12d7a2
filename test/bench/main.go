// Bench measures rkt beside its peers in one run: how long `rkt run` of a
// stored image takes until the app's first line and until it has ended, and how
// long plain QEMU and podman take for the same; what a pod costs in memory
// beyond its guest's; and how much of it all is rkt's first stage.
//
//	bench --rkt=DIR/rkt --stage1=DIR/stage1-kvm.aci [--runs=10] [--memory-only] [--json]
//
// With --memory-only it needs no podman and two machines: it is what runs where
// KVM is emulated, and times mean nothing.
//
// It runs as root. Every round runs each candidate once, so that a busy host
// hits all of them alike. It reports and judges nothing: no figure makes it
// fail. Everything it makes is below one temporary directory or in namespaces
// that end with it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// wholeTimeout bounds a run of everything, set-up included.
const wholeTimeout = 30 * time.Minute

// options are the command line's.
type options struct {
	rkt, stage1 string
	runs        int
	json        bool
	memoryOnly  bool
}

func main() {
	if filepath.Base(os.Args[0]) == clockProgram {
		printClock(os.Stdout)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// run measures everything and prints the report.
func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, wholeTimeout)
	defer cancel()
	result, err := measure(ctx, o)
	if err != nil {
		return err
	}
	if o.json {
		return result.writeJSON(os.Stdout)
	}
	return result.writeText(os.Stdout)
}

// parse reads the command line.
func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&o.rkt, "rkt", "", "the rkt to measure")
	f.StringVar(&o.stage1, "stage1", "", "the KVM stage1 image to measure")
	f.IntVar(&o.runs, "runs", 10, "rounds to measure")
	f.BoolVar(&o.json, "json", false, "print JSON instead of a table")
	f.BoolVar(&o.memoryOnly, "memory-only", false, "measure memory, and no time")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.rkt == "" || o.stage1 == "" || o.runs < 1 || f.NArg() > 0 {
		return o, errors.New("usage: bench --rkt=FILE --stage1=FILE [--runs=N] [--memory-only] [--json]")
	}
	if os.Geteuid() != 0 {
		return o, errors.New("pods and namespaces need root")
	}
	for _, path := range []*string{&o.rkt, &o.stage1} {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return o, err
		}
		if _, err := os.Stat(abs); err != nil {
			return o, err
		}
		*path = abs
	}
	return o, nil
}
