// Netbench measures what a pod's network costs, beside peers in one run: how much
// goes over one TCP connection between the host and a pod, in both directions, and
// how long a byte there and back takes;
//
//   - a machine on the network "default" beside plain QEMU with the same command
//     line and a tap on a bridge,
//   - a container on "default" beside one of podman's on its default network;
//
// and how long `rkt run` on "default" takes beside `podman run`.
//
//	netbench --rkt=DIR/rkt --kvm=DIR/stage1-kvm.aci --container=DIR/stage1-coreos.aci
//	         [--starts=5] [--runs=3] [--time=1s] [--json]
//
// It runs as root. Everything it makes is below one temporary directory, or in
// namespaces that end with it. Every round measures each candidate once. How fast a
// machine is changes by a fifth from start to start, and stays so until its end, so
// all are started several times. Ratios are medians of those of each round. It reports
// and judges nothing. The program is its own server in pods: netbench serve ADDRESS.
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

// wholeTimeout bounds a run of everything.
const wholeTimeout = 30 * time.Minute

// options are the command line's.
type options struct {
	rkt, kvm, container string
	starts              int           // of every candidate
	runs                int           // rounds with each start
	time                time.Duration // of each measurement
	json                bool
}

func main() {
	if err := start(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "netbench:", err)
		os.Exit(1)
	}
}

func start(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "serve":
		return serve(args[1])
	case len(args) == 1 && args[0] == "hello":
		fmt.Println("hello")
		return nil
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	if os.Getenv(insideEnv) == "" {
		return again()
	}
	if err := furnish(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, wholeTimeout)
	defer cancel()
	return measure(ctx, o)
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("netbench", flag.ContinueOnError)
	f.StringVar(&o.rkt, "rkt", "", "the rkt to measure")
	f.StringVar(&o.kvm, "kvm", "", "the KVM stage1 image to measure")
	f.StringVar(&o.container, "container", "", "the container stage1 image to measure")
	f.IntVar(&o.starts, "starts", 5, "how often all are started")
	f.IntVar(&o.runs, "runs", 3, "rounds to measure after each start")
	f.DurationVar(&o.time, "time", time.Second, "how long each measurement takes")
	f.BoolVar(&o.json, "json", false, "print JSON instead of a table")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.starts < 1 || o.runs < 1 || o.time <= 0 || f.NArg() > 0 {
		return o, errors.New("usage: netbench --rkt=FILE --kvm=FILE --container=FILE [--starts=N] [--runs=N] [--time=DURATION] [--json]")
	}
	for _, path := range []*string{&o.rkt, &o.kvm, &o.container} {
		abs, err := filepath.Abs(*path)
		if err == nil {
			_, err = os.Stat(abs)
		}
		if err != nil {
			return o, err
		}
		*path = abs
	}
	if os.Geteuid() != 0 {
		return o, errors.New("pods and namespaces need root")
	}
	return o, nil
}
