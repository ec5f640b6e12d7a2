// Probe is the app that tests put into images: a static program that does one
// simple thing, or says what it sees from inside a pod.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// command is one thing that the probe can do.
type command struct {
	name, usage string
	run         func(args []string) error
}

func commands() []command {
	return []command{
		{"exit", "[-after ADDRESS] STATUS", exit},
		{"die", "SIGNAL-NUMBER", die},
		{"print", "[-out TEXT] [-err TEXT] [-lines N] [-width N]", printText},
		{"facts", "[-stay]", facts},
		{"devices", "", devices},
		{"files", "DIRECTORY…", files},
		{"fill", "FILE", fill},
		{"mark", "FILE", mark},
		{"replace", "FILE…", replace},
		{"sleep", "[-ignore] [-status N] [-announce ADDRESS]", sleep},
		{"listen", "ADDRESS", listen},
		{"connect", "ADDRESS TEXT", connect},
		{"serve", "ADDRESS", serve},
		{"reach", "ADDRESS… [-silent ADDRESS…]", reach},
		{"links", "", links},
		{"forge", "KIND TIMES ADDRESS", forge},
		{"metadata", "[-stay] [URL]", metadata},
		{"tty", "", tty},
		{"echo", "", echo},
		{"copy", "", copyInput},
		{"syslog", "SOCKET TEXT", syslog},
		{"zeros", "BYTES", zeros},
	}
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(100)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return usage()
	}
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == args[0] })
	if i < 0 {
		return usage()
	}
	return all[i].run(args[1:])
}

func usage() error {
	var lines []string
	for _, c := range commands() {
		lines = append(lines, strings.TrimSpace("probe "+c.name+" "+c.usage))
	}
	return fmt.Errorf("usage:\n%s", strings.Join(lines, "\n"))
}
