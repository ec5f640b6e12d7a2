package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// fetchAim is what fetching should at most take, times the tools together.
const fetchAim = 1.3

// fetchReport is what was measured of fetching an image.
type fetchReport struct {
	PlainBytes  int64    `json:"plainBytes"`  // of the image's archive
	PackedBytes int64    `json:"packedBytes"` // of the same, compressed: what is signed and fetched
	Filesystem  string   `json:"filesystem"`  // that the store is on
	Times       []timing `json:"times"`
	// Ratio is what fetching takes, times the tools together, in one round.
	Ratio roundRatio `json:"ratio"`
	// PeakBytes is the most memory that rkt had in any round, at most.
	PeakBytes int64 `json:"peakBytes"`
}

// conclude takes the times and what follows from them.
func (r *fetchReport) conclude(times []timing) {
	r.Times, r.Ratio = times, compareRounds(times)
	for _, s := range times[0].samples {
		r.PeakBytes = max(r.PeakBytes, s.peak)
	}
}

func (r *fetchReport) writeText(w io.Writer) error {
	fmt.Fprintf(w, "\nFetching a signed image of %.0f MB, compressed %.0f MB, into a store on %s;\nthe tools work on the compressed file\n\n",
		megabytes(r.PlainBytes), megabytes(r.PackedBytes), r.Filesystem)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "milliseconds\tmedian\tmin\tmax\t\t")
	for _, time := range r.Times {
		fmt.Fprintf(t, "%s\t%s\t\t\n", time.Name, time.Exit)
	}
	fmt.Fprintf(t, "%s / the others together\t%s\t(aim: %.1f)\t\n", nameFetch, r.Ratio, fetchAim)
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nMost memory that %s had: at most %.1f MiB (aim: under 100)\n", nameFetch, mebibytes(r.PeakBytes))
	return nil
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }
