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

	peer "rkt/test/podman"
)

// Names of the candidates.
const (
	nameMachine   = "rkt, machine"
	namePlain     = "plain QEMU, tap on a bridge"
	nameContainer = "rkt, container"
	namePodman    = "podman, its bridge"
)

func candidates() []string { return []string{nameMachine, namePlain, nameContainer, namePodman} }

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
	containers, err := newPodman(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, peer.RemoveGroups(filepath.Base(dir))) }()
	results := map[string]*result{}
	for _, name := range candidates() {
		results[name] = &result{Name: name}
	}
	if err := measureSpeeds(ctx, o, dir, pods, containers, results); err != nil {
		return err
	}
	if err := measureRuns(ctx, o, dir, pods, containers, results); err != nil {
		return err
	}
	return report(o, results)
}

// measureSpeeds starts all servers several times, and measures them.
func measureSpeeds(ctx context.Context, o options, dir string, pods *rkt, containers *podman, results map[string]*result) error {
	machine, err := newPlain(dir)
	if err != nil {
		return err
	}
	for start := range o.starts {
		fmt.Fprintf(os.Stderr, "netbench: start %d of %d\n", start+1, o.starts)
		if err := measureStart(ctx, o, pods, machine, containers, results); err != nil {
			return err
		}
		if err := pods.collect(); err != nil {
			return err
		}
	}
	return nil
}

// measureStart starts all servers, measures them, and ends them.
func measureStart(ctx context.Context, o options, pods *rkt, machine *plain, containers *podman, results map[string]*result) error {
	var servers []*server
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	for _, serve := range []func() (*server, error){
		func() (*server, error) { return pods.serve(ctx, nameMachine, o.kvm, machineSize) },
		func() (*server, error) {
			if err := pods.imitate(nameMachine, machine); err != nil {
				return nil, err
			}
			return machine.serve(ctx, namePlain)
		},
		func() (*server, error) { return pods.serve(ctx, nameContainer, o.container) },
		func() (*server, error) { return containers.serve(ctx, namePodman) },
	} {
		s, err := serve()
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	return measureServers(o, servers, results)
}

// measureServers measures round by round, one server while the others idle.
func measureServers(o options, servers []*server, results map[string]*result) error {
	for round := range o.runs + 1 {
		for i := range servers {
			s := servers[(i+round)%len(servers)]
			got, err := try(s.address, o.time)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			fmt.Fprintf(os.Stderr, "netbench: round %d of %d: %s: to %.0f, from %.0f Mbit/s, %.0f µs\n", round, o.runs, s.name, got.in, got.out, got.trip)
			if round > 0 { // the first fills caches
				r := results[s.name]
				r.speeds = append(r.speeds, got)
			}
		}
	}
	return nil
}

// measureRuns measures how long pods take that only say hello.
func measureRuns(ctx context.Context, o options, dir string, pods *rkt, containers *podman, results map[string]*result) error {
	uuid := filepath.Join(dir, "uuid")
	commands := []struct {
		name string
		make func() *exec.Cmd
	}{
		{nameMachine, func() *exec.Cmd { return pods.command(ctx, o.kvm, uuid, []string{machineSize}, "hello") }},
		{nameContainer, func() *exec.Cmd { return pods.command(ctx, o.container, uuid, nil, "hello") }},
		{namePodman, func() *exec.Cmd { return containers.command(ctx, nil, "hello") }},
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

// report prints medians and ratios.
func report(o options, results map[string]*result) error {
	var all []*result
	for _, name := range candidates() {
		r := results[name]
		r.conclude()
		all = append(all, r)
	}
	ratios := []ratio{
		compare(results[nameMachine], results[namePlain]),
		compare(results[nameContainer], results[namePodman]),
		{Of: nameMachine, To: namePodman, Run: compareRuns(results[nameMachine], results[namePodman])},
	}
	if o.json {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"results": all, "ratios": ratios})
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "medians of %d starts with %d rounds\tto the pod, Mbit/s\tfrom it, Mbit/s\tround trip, µs\trun, ms\t\n", o.starts, o.runs)
	for _, r := range all {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.0f\t%s\t\n", r.Name, r.In, r.Out, r.Trip, orNothing("%.0f", r.Run))
	}
	fmt.Fprintln(t, "times as good, aim 0.9 (medians of rounds)\t\t\t\ttimes as long\t")
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
	r.In = medianOf(r.speeds, func(s speed) float64 { return s.in })
	r.Out = medianOf(r.speeds, func(s speed) float64 { return s.out })
	r.Trip = medianOf(r.speeds, func(s speed) float64 { return s.trip })
	r.Run = median(slices.Clone(r.runs))
}

func medianOf(speeds []speed, get func(speed) float64) float64 {
	var all []float64
	for _, s := range speeds {
		all = append(all, get(s))
	}
	return median(all)
}

// compare divides round by round, because a host is faster in one minute than in
// another, and takes the medians of that.
func compare(a, b *result) ratio {
	var in, out, trip []float64
	for i, x := range a.speeds {
		y := b.speeds[i]
		in, out, trip = append(in, x.in/y.in), append(out, x.out/y.out), append(trip, y.trip/x.trip)
	}
	r := ratio{Of: a.Name, To: b.Name, In: median(in), Out: median(out), Trip: median(trip)}
	if len(b.runs) > 0 {
		r.Run = compareRuns(a, b)
	}
	return r
}

func compareRuns(a, b *result) float64 {
	var all []float64
	for i, x := range a.runs {
		all = append(all, x/b.runs[i])
	}
	return median(all)
}

// median is 0 of nothing.
func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}
