package stage1

import (
	"errors"
	"fmt"
	"strings"
)

// RunArgs are the arguments of the run entry point.
type RunArgs struct {
	Debug       bool
	Net         NetRequests
	Interactive bool
	LocalConfig string
	Hostname    string // empty: the stage1's default
	DNS         DNSMode
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
	add(true, 1, "--net="+a.Net.String(), false)
	add(a.Interactive, 1, "--interactive", false)
	add(a.LocalConfig != "", 1, "--local-config="+a.LocalConfig, false)
	add(a.Hostname != "", 2, "--hostname="+a.Hostname, false)
	add(a.DNS.String() != "", 4, "--dns-conf-mode="+a.DNS.String(), false)
	add(a.DisableCapabilities, 3, "--disable-capabilities-restriction", true)
	add(a.DisablePaths, 3, "--disable-paths", true)
	add(a.DisableSeccomp, 3, "--disable-seccomp", true)
	return append(args, a.UUID), unsupported
}

// ParseRunArgs reads what Args wrote.
func ParseRunArgs(args []string) (a RunArgs, err error) {
	for _, arg := range args {
		name, value, hasValue := strings.Cut(arg, "=")
		switch name {
		case "--debug":
			a.Debug = !hasValue || value == "true"
		case "--interactive":
			a.Interactive = !hasValue || value == "true"
		case "--net":
			if a.Net, err = ParseNetRequests(value); err != nil {
				return a, err
			}
		case "--dns-conf-mode":
			if a.DNS, err = ParseDNSMode(value); err != nil {
				return a, fmt.Errorf("%s: %w", name, err)
			}
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
