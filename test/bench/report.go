package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
)

// Names of the candidates.
const (
	nameRkt           = "rkt run"
	nameStage0        = "rkt until it executes stage1"
	nameSystemd       = "plain QEMU, systemd"
	nameStatic        = "plain QEMU, static init"
	namePodmanNone    = "podman run, no network"
	namePodmanNetwork = "podman run"
)

// aim is what rkt should at most take, times plain QEMU or systemd-nspawn with
// systemd.
const aim = 1.3

// report is everything that was measured.
type report struct {
	Runs       int              `json:"runs"`
	CPUs       int              `json:"cpus"`
	LoadBefore float64          `json:"loadBefore"`
	LoadAfter  float64          `json:"loadAfter"`
	Pods       *podReport       `json:"pods,omitempty"`
	Containers *containerReport `json:"containers,omitempty"`
	Fetch      *fetchReport     `json:"fetch,omitempty"`
	List       *listReport      `json:"list,omitempty"`
}

func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	return e.Encode(r)
}

// writeText prints tables for people.
func (r *report) writeText(w io.Writer) error {
	fmt.Fprintf(w, "%d runs each, round by round; %d CPUs, load %.1f before and %.1f after\n",
		r.Runs, r.CPUs, r.LoadBefore, r.LoadAfter)
	var failures [4]error
	if r.Pods != nil {
		failures[0] = r.Pods.writeText(w)
	}
	if r.Fetch != nil {
		failures[1] = r.Fetch.writeText(w)
	}
	if r.List != nil {
		failures[2] = r.List.writeText(w)
	}
	if r.Containers != nil {
		failures[3] = r.Containers.writeText(w)
	}
	return errors.Join(failures[:]...)
}

// podReport is what was measured of running pods.
type podReport struct {
	// Isolation is what `rkt status` says: "kvm" or "emulated".
	Isolation string `json:"isolation"`
	// Stage1 is what the image says about itself.
	Stage1 json.RawMessage `json:"stage1"`
	Times  []timing        `json:"times"`
	Ratios []ratio         `json:"ratios"`
	Memory []footprint     `json:"memory"`
	Notes  []string        `json:"notes,omitempty"`
}

// ratio compares two candidates' medians.
type ratio struct {
	Of    string  `json:"of"`
	To    string  `json:"to"`
	First float64 `json:"firstLine"`
	Exit  float64 `json:"exit"`
}

// compare fills in the ratios of rkt to the others.
func (r *podReport) compare() {
	pods, ok := findTiming(r.Times, nameRkt)
	if !ok {
		return
	}
	for _, name := range []string{nameSystemd, nameStatic, namePodmanNone, namePodmanNetwork} {
		if t, ok := findTiming(r.Times, name); ok {
			r.Ratios = append(r.Ratios, newRatio(pods, t))
		}
	}
}

func newRatio(of, to timing) ratio {
	return ratio{Of: of.Name, To: to.Name, First: of.First.Median / to.First.Median, Exit: of.Exit.Median / to.Exit.Median}
}

func findTiming(times []timing, name string) (timing, bool) {
	for _, t := range times {
		if t.Name == name {
			return t, true
		}
	}
	return timing{}, false
}

// accelerator names what ran the guests' code.
func (r *podReport) accelerator() string {
	if r.Isolation == "kvm" {
		return "KVM"
	}
	return "TCG"
}

func (r *podReport) writeText(w io.Writer) error {
	fmt.Fprintf(w, "\nRunning a stored image, with %s (isolation=%s)\n\n", r.accelerator(), r.Isolation)
	if len(r.Times) > 0 {
		if err := writeTimes(w, r.Times, r.Ratios); err != nil {
			return err
		}
	}
	return r.writeMemory(w)
}

func writeTimes(w io.Writer, times []timing, ratios []ratio) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "milliseconds from exec\tfirst line\tmin\tmax\texit\tmin\tmax\t")
	for _, time := range times {
		fmt.Fprintf(t, "%s\t%s\t%s\t\n", time.Name, time.First, time.Exit)
	}
	fmt.Fprintln(t, "\t\t\t\t\t\t\t")
	fmt.Fprintf(t, "medians, times\tfirst line\t\t\texit\t\t\t\n")
	for _, ratio := range ratios {
		fmt.Fprintf(t, "%s\t%.2f\t\t\t%.2f\t\t%s\t\n", ratio.Of+" / "+ratio.To, ratio.First, ratio.Exit, ratio.aim())
	}
	return t.Flush()
}

// aim returns the remark beside the ratios that have an aim.
func (r ratio) aim() string {
	if r.To != nameSystemd && r.To != nameNspawn {
		return ""
	}
	return fmt.Sprintf("(aim: %.1f)", aim)
}

// String returns the table's columns.
func (s spread) String() string {
	return fmt.Sprintf("%.0f\t%.0f\t%.0f", s.Median, s.Min, s.Max)
}

func (r *podReport) writeMemory(w io.Writer) error {
	fmt.Fprintf(w, "\nMemory of an idle pod and an idle machine on the host, PSS in MiB, with %s\n\n", r.accelerator())
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tbeyond the guest's\tthe guest's\t")
	for _, f := range r.Memory {
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t\n", f.Name, mebibytes(f.BeyondBytes), mebibytes(f.GuestBytes))
		for _, p := range f.Processes {
			fmt.Fprintf(t, "%s\t%.1f\t\t\n", p.Program, mebibytes(p.Bytes))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "\nNote: %s\n", note)
	}
	return nil
}

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }
