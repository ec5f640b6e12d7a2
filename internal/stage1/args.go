package stage1

import (
	"errors"
	"fmt"
	"strings"
)

// RunArgs are the arguments of the run entry point.
type RunArgs struct {
	Debug       bool
	Net         string // comma list, "none" for loop-back only
	Interactive bool
	LocalConfig string
	Hostname    string // empty: the stage1's default
	// The three switches of --insecure-options for running.
	DisableCapabilities bool
	DisablePaths        bool
	DisableSeccomp      bool
	UUID                string
}

// Args writes the arguments for a stage1 of the given interface version, in
// the order of the contract. What that version does not know is left out; the
// names of the options that the user will miss are returned beside it.
func (a RunArgs) Args(version int) (args, unsupported []string) {
	add := func(on bool, since int, flag string, quiet bool) {
		switch {
		case !on:
		case version >= since:
			args = append(args, flag)
		case !quiet:
			name, _, _ := strings.Cut(flag, "=")
			unsupported = append(unsupported, name)
		}
	}
	add(a.Debug, 1, "--debug", false)
	add(true, 1, "--net="+a.Net, false)
	add(a.Interactive, 1, "--interactive", false)
	add(a.LocalConfig != "", 1, "--local-config="+a.LocalConfig, false)
	add(a.Hostname != "", 2, "--hostname="+a.Hostname, false)
	add(a.DisableCapabilities, 3, "--disable-capabilities-restriction", true)
	add(a.DisablePaths, 3, "--disable-paths", true)
	add(a.DisableSeccomp, 3, "--disable-seccomp", true)
	return append(args, a.UUID), unsupported
}

// ParseRunArgs reads what Args wrote.
func ParseRunArgs(args []string) (RunArgs, error) {
	var a RunArgs
	for _, arg := range args {
		name, value, hasValue := strings.Cut(arg, "=")
		switch name {
		case "--debug":
			a.Debug = !hasValue || value == "true"
		case "--interactive":
			a.Interactive = !hasValue || value == "true"
		case "--net":
			a.Net = value
		case "--local-config":
			a.LocalConfig = value
		case "--hostname":
			a.Hostname = value
		case "--disable-capabilities-restriction":
			a.DisableCapabilities = true
		case "--disable-paths":
			a.DisablePaths = true
		case "--disable-seccomp":
			a.DisableSeccomp = true
		default:
			if strings.HasPrefix(arg, "-") {
				return a, fmt.Errorf("unknown option %q", arg)
			}
			if a.UUID != "" {
				return a, fmt.Errorf("unexpected argument %q", arg)
			}
			a.UUID = arg
		}
	}
	if a.UUID == "" {
		return a, errors.New("a pod UUID is required")
	}
	return a, nil
}
