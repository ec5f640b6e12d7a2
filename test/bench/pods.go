package main

import (
	"context"
	"errors"
	"fmt"
)

// marker is what every candidate prints.
const marker = "rkt-bench-says-hello"

// measurePods sets everything up that has to do with running pods, measures it
// and takes it down again.
func measurePods(ctx context.Context, o options) (_ *podReport, err error) {
	w, err := newWorkspace()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.remove()) }()
	if err := w.unpackStage1(ctx, o.stage1); err != nil {
		return nil, fmt.Errorf("unpack the stage1 image: %w", err)
	}
	result := &podReport{}
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
func (r *podReport) takeTimes(ctx context.Context, o options, w *workspace, pods *rkt, plain *plain) (err error) {
	peers, err := newPodmanWithImage(ctx, w)
	if err != nil {
		r.Notes = append(r.Notes, fmt.Sprintf("podman was not measured: %v", err))
	}
	defer func() { err = errors.Join(err, peers.remove()) }()

	candidates := append(pods.candidates(), plain.candidates()...)
	candidates = append(candidates, peers.candidates()...)
	r.Times, err = rounds(ctx, candidates, o.runs)
	r.compare()
	return err
}
