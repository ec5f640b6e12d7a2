package stage1

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// RunArgs are the arguments of the run entry point.
type RunArgs struct {
	Debug       bool
	Net         NetRequests
	Interactive bool
	// PrivateUsers are the ids of the host's that are the pod's, none for all.
	PrivateUsers IDRange
	LocalConfig  string
	Hostname     string // empty: the stage1's default
	DNS          DNSMode
	// The three switches of --insecure-options for running.
	DisableCapabilities bool
	DisablePaths        bool
	DisableSeccomp      bool
	// RequireIsolation is the least that the pod may have around it, "" for
	// anything.
	RequireIsolation Isolation
	// Register makes the pod known to the metadata service.
	Register bool
	IPC      IPCMode // "" for the stage1's choice
	UUID     string
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
	add(a.PrivateUsers.String() != "", 1, "--private-users="+a.PrivateUsers.String(), false)
	add(a.LocalConfig != "", 1, "--local-config="+a.LocalConfig, false)
	add(a.Hostname != "", 2, "--hostname="+a.Hostname, false)
	add(a.DNS.String() != "", 4, "--dns-conf-mode="+a.DNS.String(), false)
	add(a.DisableCapabilities, 3, "--disable-capabilities-restriction", true)
	add(a.DisablePaths, 3, "--disable-paths", true)
	add(a.DisableSeccomp, 3, "--disable-seccomp", true)
	add(a.IPC != "", 6, "--ipc="+string(a.IPC), false)
	// A stage1 that can't be told was asked.
	add(a.RequireIsolation != "", 7, "--require-isolation="+string(a.RequireIsolation), true)
	add(a.Register, 7, "--mds-register", false)
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
		case "--private-users":
			if a.PrivateUsers, err = ParseIDRange(value); err != nil {
				return a, fmt.Errorf("%s: %w", name, err)
			}
		case "--ipc":
			a.IPC = IPCMode(value)
			if err = a.IPC.Check(); err != nil {
				return a, fmt.Errorf("%s: %w", name, err)
			}
		case "--local-config":
			a.LocalConfig = value
		case "--hostname":
			a.Hostname = value
		case "--require-isolation":
			a.RequireIsolation = Isolation(value)
		case "--mds-register":
			a.Register = true
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

// StopArgs are the arguments of the stop entry point.
type StopArgs struct {
	// Force ends the pod at once.
	Force bool
	// Timeout is how long apps may take to end before they are killed; nil is
	// the stage1's own choice.
	Timeout *time.Duration
	UUID    string
}

// Args writes the arguments for a stage1 of the given interface version. What
// it doesn't know is left out, and named beside the arguments.
func (a StopArgs) Args(version int) (args, unsupported []string) {
	if a.Force {
		args = append(args, "--force")
	}
	switch {
	case a.Timeout == nil:
	case version >= 7:
		args = append(args, "--timeout="+a.Timeout.String())
	default:
		unsupported = append(unsupported, "--timeout")
	}
	return append(args, a.UUID), unsupported
}

// ParseStopArgs reads what Args wrote.
func ParseStopArgs(args []string) (StopArgs, error) {
	var a StopArgs
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		switch {
		case arg == "--force":
			a.Force = true
		case name == "--timeout":
			timeout, err := time.ParseDuration(value)
			if err != nil || timeout < 0 {
				return a, fmt.Errorf("--timeout %q is not a duration", value)
			}
			a.Timeout = &timeout
		case strings.HasPrefix(arg, "-") || a.UUID != "":
			return a, fmt.Errorf("unexpected argument %q", arg)
		default:
			a.UUID = arg
		}
	}
	if a.UUID == "" {
		return a, errors.New("a pod UUID is required")
	}
	return a, nil
}

// ExecArgs are the arguments of the exec entry point, which runs a command
// beside an app, confined as that; and of enter, which does so on the caller's
// terminal or stdio.
type ExecArgs struct {
	App         string
	Interactive bool // the command gets the caller's stdin
	Terminal    bool // and a terminal
	Privileged  bool // as root of the pod
	// Empty: the app's.
	User, Group, WorkingDirectory string
	Environment                   []string // NAME=value
	Command                       []string
}

// Args writes the arguments.
func (a ExecArgs) Args() []string {
	args := []string{"--appname=" + a.App}
	for _, on := range []struct {
		set  bool
		flag string
	}{{a.Interactive, "--interactive"}, {a.Terminal, "--tty"}, {a.Privileged, "--privileged"}} {
		if on.set {
			args = append(args, on.flag)
		}
	}
	for _, s := range []struct{ flag, value string }{
		{"--user=", a.User}, {"--group=", a.Group}, {"--working-dir=", a.WorkingDirectory},
	} {
		if s.value != "" {
			args = append(args, s.flag+s.value)
		}
	}
	for _, v := range a.Environment {
		args = append(args, "--environment="+v)
	}
	return append(append(args, "--"), a.Command...)
}

// ParseExecArgs reads what Args wrote.
func ParseExecArgs(args []string) (ExecArgs, error) {
	var a ExecArgs
	for i, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "--appname":
			a.App = value
		case "--interactive":
			a.Interactive = true
		case "--tty":
			a.Terminal = true
		case "--privileged":
			a.Privileged = true
		case "--user":
			a.User = value
		case "--group":
			a.Group = value
		case "--working-dir":
			a.WorkingDirectory = value
		case "--environment":
			a.Environment = append(a.Environment, value)
		case "--pid": // of the machine, in which an app is found by its name
		case "--":
			a.Command = args[i+1:]
			return a, a.check()
		default:
			return a, fmt.Errorf("unexpected argument %q", arg)
		}
	}
	return a, errors.New("no command")
}

func (a ExecArgs) check() error {
	switch {
	case a.App == "":
		return errors.New("no app")
	case len(a.Command) == 0:
		return errors.New("no command")
	}
	return nil
}
