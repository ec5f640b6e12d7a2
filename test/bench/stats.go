package main

import (
	"slices"
	"time"
)

// timing is what the samples of one candidate say.
type timing struct {
	Name string `json:"name"`
	// First is the time to the first line, Exit to the process's end.
	First spread `json:"firstLine"`
	Exit  spread `json:"exit"`
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
	return timing{Name: name, First: newSpread(first), Exit: newSpread(exit)}
}

// newSpread summarizes at least one duration. The median of an even number is
// the mean of the two in the middle.
func newSpread(durations []time.Duration) spread {
	d := slices.Sorted(slices.Values(durations))
	half := len(d) / 2
	median := d[half]
	if len(d)%2 == 0 {
		median = (d[half-1] + d[half]) / 2
	}
	return spread{Median: milliseconds(median), Min: milliseconds(d[0]), Max: milliseconds(d[len(d)-1])}
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
