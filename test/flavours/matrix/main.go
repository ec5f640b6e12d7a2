// Matrix prints docs/flavours.md: what pods do, by what they run in.
package main

import (
	"fmt"
	"strings"

	"rkt/test/flavours"
)

func main() {
	fmt.Print(`# What works in which flavour

Made by ` + "`make docs`" + ` out of the table in test/flavours, which is also the test of it.
"yes" is what the suite asserts each time all tests are run: of QEMU with KVM on an
emulated processor that has what KVM needs. "(yes)" is what it asserts there too, but
only if the host has an ` + "`lkvm`" + `, which no Debian package brings.

`)
	titles, rules := []string{"a pod"}, []string{"---"}
	for _, f := range flavours.All() {
		titles, rules = append(titles, f.Title), append(rules, "---")
	}
	row(titles)
	row(rules)
	for _, b := range flavours.Behaviours() {
		cells := []string{b.Promise}
		for _, f := range flavours.All() {
			cell := "yes"
			if f.Optional {
				cell = "(yes)"
			}
			if why := b.Without[f.Name]; why != "" {
				cell = "no: " + why
			}
			cells = append(cells, cell)
		}
		row(cells)
	}
	fmt.Print(`
Limits of memory and CPU are kept in machines. In a container they are where the
host's controllers are in the version 2 tree of control groups; elsewhere rkt warns
that it skips them. With fly and ` + "`--interactive`" + `, what the app writes to rkt's own
terminal is not kept for ` + "`rkt logs`" + `. A pod in lkvm has at most two apps: lkvm takes
four disks, and adds none later.
`)
}

func row(cells []string) { fmt.Println("| " + strings.Join(cells, " | ") + " |") }
