package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

// Names of the candidates.
const (
	nameMachine   = "rkt, machine"
	namePlain     = "plain QEMU, tap on a bridge"
	nameContainer = "rkt, container"
	namePodman    = "podman, its bridge"
)

// result is what one candidate did: medians of all rounds.
type result struct {
	Name string  `json:"name"`
	In   float64 `json:"toMbit"`   // to the pod
	Out  float64 `json:"fromMbit"` // from it
	Trip float64 `json:"tripMicroseconds"`
	Run  float64 `json:"runMs,omitempty"` // from exec to the end of a pod that says hello

	speeds []speed
	runs   []float64
}

// ratio is a candidate's result by its peer's; more is better, but for Run.
type ratio struct {
	Of, To        string
	In, Out, Trip float64
	Run           float64 `json:",omitempty"`
}

// measure sets everything up, measures it and takes it down again.
func measure(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "rkt-netbench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // pods' uids pass through
		return err
	}
	pods, err := newRkt(dir, o.rkt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pods.collect()) }()
	peer, err := newPodman(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeGroups(filepath.Base(dir))) }()
	results := map[string]*result{}
	if err := measureSpeeds(ctx, o, dir, pods, peer, results); err != nil {
		return err
	}
	if err := measureRuns(ctx, o, dir, pods, peer, results); err != nil {
		return err
	}
	return report(o, results)
}

// measureSpeeds measures all servers, round by round, while the others idle.
func measureSpeeds(ctx context.Context, o options, dir string, pods *rkt, peer *podman, results map[string]*result) error {
	var servers []*server
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	add := func(s *server, err error) error {
		if err == nil {
			servers = append(servers, s)
			results[s.name] = &result{Name: s.name}
		}
		return err
	}
	if err := add(pods.serve(ctx, nameMachine, o.kvm)); err != nil {
		return err
	}
	args, root, err := pods.hypervisor(nameMachine)
	if err != nil {
		return err
	}
	machine, err := newPlain(dir, args, root)
	if err != nil {
		return err
	}
	if err := add(machine.serve(ctx, namePlain)); err != nil {
		return err
	}
	if err := add(pods.serve(ctx, nameContainer, o.container)); err != nil {
		return err
	}
	if err := add(peer.serve(ctx, namePodman)); err != nil {
		return err
	}
	for round := range o.runs + 1 {
		for i := range servers {
			s := servers[(i+round)%len(servers)]
			got, err := try(s.address, o.time)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			fmt.Fprintf(os.Stderr, "netbench: round %d of %d: %s: to %.0f, from %.0f Mbit/s, %.0f µs\n", round, o.runs, s.name, got.in, got.out, got.trip)
			if round > 0 { // the first fills caches
				results[s.name].speeds = append(results[s.name].speeds, got)
			}
		}
	}
	return nil
}

// measureRuns measures how long pods take that only say hello.
func measureRuns(ctx context.Context, o options, dir string, pods *rkt, peer *podman, results map[string]*result) error {
	uuid := filepath.Join(dir, "uuid")
	commands := []struct {
		name string
		make func() *exec.Cmd
	}{
		{nameMachine, func() *exec.Cmd { return pods.command(ctx, o.kvm, uuid, "hello") }},
		{nameContainer, func() *exec.Cmd { return pods.command(ctx, o.container, uuid, "hello") }},
		{namePodman, func() *exec.Cmd { return peer.command(ctx, nil, "hello") }},
	}
	for round := range o.runs + 1 {
		for i := range commands {
			c := commands[(i+round)%len(commands)]
			cmd := c.make()
			begun := time.Now()
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", c.name, err, out)
			}
			took := float64(time.Since(begun).Microseconds()) / 1000
			fmt.Fprintf(os.Stderr, "netbench: round %d of %d: %s: run %.0f ms\n", round, o.runs, c.name, took)
			if round > 0 {
				results[c.name].runs = append(results[c.name].runs, took)
			}
		}
		if err := pods.collect(); err != nil {
			return err
		}
	}
	return nil
}

// removeGroups removes the control groups of podman's containers, which have
// ended, in all hierarchies.
func removeGroups(name string) error {
	var errs []error
	for _, pattern := range []string{"/sys/fs/cgroup/" + name, "/sys/fs/cgroup/*/" + name} {
		found, err := filepath.Glob(pattern)
		errs = append(errs, err)
		for _, group := range found {
			errs = append(errs, removeGroup(group))
		}
	}
	return errors.Join(errs...)
}

// removeGroup removes a control group, after those below it.
func removeGroup(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeGroup(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(path)
}

// report prints medians and ratios.
func report(o options, results map[string]*result) error {
	var all []*result
	for _, name := range []string{nameMachine, namePlain, nameContainer, namePodman} {
		r := results[name]
		r.conclude()
		all = append(all, r)
	}
	ratios := []ratio{
		compare(results[nameMachine], results[namePlain]),
		compare(results[nameContainer], results[namePodman]),
		{Of: nameMachine, To: namePodman, Run: results[nameMachine].Run / results[namePodman].Run},
	}
	if o.json {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"results": all, "ratios": ratios})
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "medians of %d rounds\tto the pod, Mbit/s\tfrom it, Mbit/s\tround trip, µs\trun, ms\t\n", o.runs)
	for _, r := range all {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.0f\t%s\t\n", r.Name, r.In, r.Out, r.Trip, orNothing("%.0f", r.Run))
	}
	fmt.Fprintln(t, "times as good, aim 0.9\t\t\t\ttimes as long\t")
	for _, r := range ratios {
		fmt.Fprintf(t, "%s / %s\t%s\t%s\t%s\t%s\t\n", r.Of, r.To,
			orNothing("%.2f", r.In), orNothing("%.2f", r.Out), orNothing("%.2f", r.Trip), orNothing("%.2f", r.Run))
	}
	return t.Flush()
}

func orNothing(format string, n float64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(format, n)
}

func (r *result) conclude() {
	of := func(get func(speed) float64) float64 {
		var all []float64
		for _, s := range r.speeds {
			all = append(all, get(s))
		}
		return median(all)
	}
	r.In = of(func(s speed) float64 { return s.in })
	r.Out = of(func(s speed) float64 { return s.out })
	r.Trip = of(func(s speed) float64 { return s.trip })
	r.Run = median(r.runs)
}

func compare(a, b *result) ratio {
	r := ratio{Of: a.Name, To: b.Name, In: a.In / b.In, Out: a.Out / b.Out, Trip: b.Trip / a.Trip}
	if b.Run > 0 {
		r.Run = a.Run / b.Run
	}
	return r
}

// median is 0 of nothing.
func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}
