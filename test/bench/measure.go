package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
)

// measure measures the groups that are wanted.
func measure(ctx context.Context, o options) (*report, error) {
	if err := adoptOrphans(); err != nil {
		return nil, err
	}
	result := &report{Runs: o.runs, CPUs: runtime.NumCPU(), LoadBefore: load()}
	var failures [4]error
	if o.has(groupPods) {
		result.Pods, failures[0] = measurePods(ctx, o)
	}
	if o.has(groupFetch) {
		result.Fetch, failures[1] = measureFetch(ctx, o)
	}
	if o.has(groupList) {
		result.List, failures[2] = measureList(ctx, o)
	}
	if o.has(groupContainers) {
		result.Containers, failures[3] = measureContainers(ctx, o)
	}
	result.LoadAfter = load()
	return result, errors.Join(failures[:]...)
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
