package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
)

// marker is what every candidate prints.
const marker = "rkt-bench-says-hello"

// measure sets everything up, measures it and takes it down again.
func measure(ctx context.Context, o options) (_ *report, err error) {
	if err := adoptOrphans(); err != nil {
		return nil, err
	}
	w, err := newWorkspace(ctx, o.stage1)
	if err != nil {
		return nil, fmt.Errorf("unpack the stage1 image: %w", err)
	}
	defer func() { err = errors.Join(err, w.remove()) }()
	result := &report{Runs: o.runs, CPUs: runtime.NumCPU(), LoadBefore: load()}

	if result.Stage1, err = w.description(); err != nil {
		return nil, err
	}
	pods, err := newRkt(ctx, o, w)
	if err != nil {
		return nil, fmt.Errorf("set up rkt: %w", err)
	}
	defer func() { err = errors.Join(err, pods.remove()) }()
	idle, err := pods.measureIdle(ctx)
	if err != nil {
		return nil, fmt.Errorf("measure an idle pod: %w", err)
	}
	result.Isolation = idle.isolation
	plain, err := newPlain(ctx, w, idle.commandLine)
	if err != nil {
		return nil, fmt.Errorf("set up plain QEMU: %w", err)
	}
	plainMemory, err := plain.measureIdle(ctx)
	if err != nil {
		return nil, fmt.Errorf("measure an idle machine: %w", err)
	}
	result.Memory = []footprint{idle.memory, plainMemory}
	if o.memoryOnly {
		return result, nil
	}
	return result, result.takeTimes(ctx, o, w, pods, plain)
}

// takeTimes takes the time of everything.
func (r *report) takeTimes(ctx context.Context, o options, w *workspace, pods *rkt, plain *plain) (err error) {
	peers, err := newPodman(ctx, w)
	if err != nil {
		r.Notes = append(r.Notes, fmt.Sprintf("podman was not measured: %v", err))
	}
	defer func() { err = errors.Join(err, peers.remove()) }()

	candidates := append(pods.candidates(), plain.candidates()...)
	candidates = append(candidates, peers.candidates()...)
	r.Times, err = rounds(ctx, candidates, o.runs)
	r.LoadAfter = load()
	r.compare()
	return err
}

// load returns the host's load average of the last minute, -1 if unknown.
func load() float64 {
	b, err := os.ReadFile("/proc/loadavg")
	var one float64
	if err == nil {
		_, err = fmt.Sscan(string(b), &one)
	}
	if err != nil {
		return -1
	}
	return one
}
