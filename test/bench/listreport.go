package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// listReport is what was measured of listing images.
type listReport struct {
	Images int      `json:"images"`
	Times  []timing `json:"times"`
	// Ratio is what rkt takes, times podman, in one round.
	Ratio *roundRatio `json:"ratio,omitempty"`
	Notes []string    `json:"notes,omitempty"`
}

// conclude takes the times and what follows from them.
func (r *listReport) conclude(times []timing) {
	r.Times = times
	if len(times) > 1 {
		ratio := compareRounds(times)
		r.Ratio = &ratio
	}
}

func (r *listReport) writeText(w io.Writer) error {
	fmt.Fprintf(w, "\nListing %d images\n\n", r.Images)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "milliseconds\tmedian\tmin\tmax\t\t")
	for _, time := range r.Times {
		fmt.Fprintf(t, "%s\t%s\t\t\n", time.Name, time.Exit)
	}
	if r.Ratio != nil {
		fmt.Fprintf(t, "%s / %s\t%s\t(aim: under 1)\t\n", nameImageList, namePodmanImages, r.Ratio)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "\nNote: %s\n", note)
	}
	return nil
}
