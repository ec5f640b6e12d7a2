package main

import (
	"context"
	"fmt"
	"os"
)

// candidate is one thing whose time is taken.
type candidate struct {
	name string
	// run runs it once from start to end.
	run func(context.Context) (sample, error)
	// after cleans up between two rounds, nil if nothing is left.
	after func(context.Context) error
	// stays says that what the candidate belongs to goes on running.
	stays bool
}

// rounds runs every candidate once in each of n rounds, after one that is
// thrown away: it fills caches. Each round starts with another candidate, so
// that none always follows the same one.
func rounds(ctx context.Context, candidates []candidate, n int) ([]timing, error) {
	samples := make([][]sample, len(candidates))
	for round := range n + 1 {
		for i := range candidates {
			k := (i + round) % len(candidates)
			s, err := once(ctx, candidates[k])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", candidates[k].name, err)
			}
			fmt.Fprintf(os.Stderr, "bench: round %d of %d: %s: %.3f s\n", round, n, candidates[k].name, s.exit.Seconds())
			if round > 0 {
				samples[k] = append(samples[k], s)
			}
		}
	}
	var times []timing
	for i, c := range candidates {
		times = append(times, newTiming(c.name, samples[i]))
	}
	return times, nil
}

// once runs a candidate and waits until nothing of it runs any more.
func once(ctx context.Context, c candidate) (sample, error) {
	limited, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	s, err := c.run(limited)
	if err != nil {
		return s, err
	}
	if !c.stays {
		err = awaitOrphans(ctx)
	}
	if err != nil {
		return s, err
	}
	if c.after != nil {
		err = c.after(ctx)
	}
	return s, err
}
