// Bench measures rkt beside its peers in one run, by groups:
//
//   - pods: how long `rkt run` of a stored image takes until the app's first line
//     and until it has ended, and how long plain QEMU and podman take for the
//     same; what a pod costs in memory beyond its guest's; and how much of it all
//     is rkt's first stage.
//   - containers: the same for a pod in a container beside plain systemd-nspawn and
//     podman without a network; and how long a command beside a running app takes,
//     by `rkt exec` and `podman exec`.
//   - fetch: how long it takes to fetch a signed image over HTTPS, check, store and
//     render it, and how long the tools take that do a part of that by hand.
//   - list: how long `rkt image list` and `podman images` take for many images.
//
// Usage:
//
//	bench --rkt=DIR/rkt --stage1=DIR/stage1-kvm.aci --coreos=DIR/stage1-coreos.aci
//	      [--only=pods,containers,fetch,list]
//	      [--runs=10] [--size=500] [--images=1000] [--memory-only] [--json]
//
// With --memory-only the group pods needs no podman and two machines: it is what
// runs where KVM is emulated, and times mean nothing.
//
// It runs as root. Every round runs each candidate once, so that a busy host
// hits all of them alike. It reports and judges nothing: no figure makes it
// fail. Everything it makes is below one temporary directory, of which TMPDIR says
// where it is, or in namespaces that end with it. --size=50 --images=100 --runs=3
// give a quick look.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// wholeTimeout bounds a run of everything, set-up included.
const wholeTimeout = time.Hour

// options are the command line's.
type options struct {
	rkt, stage1 string
	coreos      string // the container stage1
	groups      []string
	runs        int
	megabytes   int64 // of the image that is fetched, unpacked
	images      int   // that are listed
	json        bool
	memoryOnly  bool // of the group pods
}

// Names of the groups.
const (
	groupPods       = "pods"
	groupContainers = "containers"
	groupFetch      = "fetch"
	groupList       = "list"
)

func allGroups() []string { return []string{groupPods, groupContainers, groupFetch, groupList} }

func (o options) has(group string) bool { return slices.Contains(o.groups, group) }

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
	f.StringVar(&o.coreos, "coreos", "", "the container stage1 image to measure")
	only := f.String("only", strings.Join(allGroups(), ","), "groups to measure")
	f.IntVar(&o.runs, "runs", 10, "rounds to measure")
	f.Int64Var(&o.megabytes, "size", 500, "megabytes of the image that is fetched, unpacked")
	f.IntVar(&o.images, "images", 1000, "images that are listed")
	f.BoolVar(&o.json, "json", false, "print JSON instead of a table")
	f.BoolVar(&o.memoryOnly, "memory-only", false, "measure the memory of pods, and nothing else")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.groups = strings.Split(*only, ","); o.memoryOnly {
		o.groups = []string{groupPods}
	}
	for _, group := range o.groups {
		if !slices.Contains(allGroups(), group) {
			return o, fmt.Errorf("unknown group %q", group)
		}
	}
	if o.rkt == "" || o.stage1 == "" && o.has(groupPods) || o.coreos == "" && o.has(groupContainers) || o.runs < 1 || o.megabytes < 1 || o.images < 1 || f.NArg() > 0 {
		return o, errors.New("usage: bench --rkt=FILE --stage1=FILE --coreos=FILE [--only=GROUPS] [--runs=N] [--size=MEGABYTES] [--images=N] [--memory-only] [--json]")
	}
	if os.Geteuid() != 0 {
		return o, errors.New("pods, disks and namespaces need root")
	}
	return o, o.findFiles()
}

// findFiles makes the names of the files absolute, which have to be there.
func (o *options) findFiles() error {
	for _, path := range []*string{&o.rkt, &o.stage1, &o.coreos} {
		if *path == "" {
			continue
		}
		abs, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		if _, err := os.Stat(abs); err != nil {
			return err
		}
		*path = abs
	}
	return nil
}
