package main

import (
	"fmt"
	"io"
)

// Names of the candidates.
const (
	nameRktContainer  = "rkt run, container"
	nameNspawn        = "plain systemd-nspawn, systemd"
	nameExecContainer = "rkt exec, container"
	nameExecMachine   = "rkt exec, machine"
	namePodmanExec    = "podman exec"
)

// containerReport is what was measured of pods in containers and of commands
// beside apps.
type containerReport struct {
	Times    []timing `json:"times"`
	Commands []timing `json:"commands"`
	Ratios   []ratio  `json:"ratios"`
	Notes    []string `json:"notes,omitempty"`
}

// compare fills in the ratios of rkt to the others.
func (r *containerReport) compare() {
	all := append(append([]timing{}, r.Times...), r.Commands...)
	for _, pair := range [][2]string{
		{nameRktContainer, nameNspawn},
		{nameRktContainer, namePodmanNone},
		{nameExecContainer, namePodmanExec},
		{nameExecMachine, namePodmanExec},
	} {
		of, found := findTiming(all, pair[0])
		to, foundToo := findTiming(all, pair[1])
		if found && foundToo {
			r.Ratios = append(r.Ratios, newRatio(of, to))
		}
	}
}

func (r *containerReport) writeText(w io.Writer) error {
	fmt.Fprint(w, "\nContainers without a network, and commands beside an app that runs\n\n")
	if err := writeTimes(w, append(append([]timing{}, r.Times...), r.Commands...), r.Ratios); err != nil {
		return err
	}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "\nNote: %s\n", note)
	}
	return nil
}
