package main

import (
	"fmt"
	"slices"
	"time"
)

// timing is what the samples of one candidate say.
type timing struct {
	Name string `json:"name"`
	// First is the time to the first line, Exit to the process's end.
	First spread `json:"firstLine"`
	Exit  spread `json:"exit"`

	samples []sample // in the order of the rounds
}

// spread summarizes durations, in milliseconds.
type spread struct {
	Median float64 `json:"medianMs"`
	Min    float64 `json:"minMs"`
	Max    float64 `json:"maxMs"`
}

func newTiming(name string, samples []sample) timing {
	var first, exit []time.Duration
	for _, s := range samples {
		first = append(first, s.first)
		exit = append(exit, s.exit)
	}
	return timing{Name: name, First: newSpread(first), Exit: newSpread(exit), samples: samples}
}

// newSpread summarizes at least one duration.
func newSpread(durations []time.Duration) spread {
	var d []float64
	for _, duration := range durations {
		d = append(d, milliseconds(duration))
	}
	return spread{Median: median(d), Min: slices.Min(d), Max: slices.Max(d)}
}

// median returns the middle of at least one number. That of an even number is
// the mean of the two in the middle.
func median(numbers []float64) float64 {
	n := slices.Sorted(slices.Values(numbers))
	half := len(n) / 2
	if len(n)%2 == 0 {
		return (n[half-1] + n[half]) / 2
	}
	return n[half]
}

// roundRatio summarizes how two things compare, round by round.
type roundRatio struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// compareRounds compares the first of at least two candidates with the others
// together, in each round, so that what disturbed one round counts in that only.
func compareRounds(times []timing) roundRatio {
	var ratios []float64
	for i, own := range times[0].samples {
		var others time.Duration
		for _, t := range times[1:] {
			others += t.samples[i].exit
		}
		ratios = append(ratios, own.exit.Seconds()/others.Seconds())
	}
	return roundRatio{Median: median(ratios), Min: slices.Min(ratios), Max: slices.Max(ratios)}
}

// String returns the table's columns.
func (r roundRatio) String() string { return fmt.Sprintf("%.2f\t%.2f\t%.2f", r.Median, r.Min, r.Max) }

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
