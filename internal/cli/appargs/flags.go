package appargs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"rkt/internal/appc"
	"rkt/internal/seccomp"
)

// Bounds of what the flags take.
const (
	minMemory      = 4096
	minCPUShares   = 2
	maxCPUShares   = 262144
	maxOOMScoreAdj = 1000
)

// appValue is a flag that says something about the image before it.
type appValue struct {
	parser     *Parser
	name, kind string
	set        func(app *App, value string) error
}

func (v *appValue) String() string { return "" }
func (v *appValue) Type() string   { return v.kind }

func (v *appValue) Set(value string) error {
	app := v.parser.last()
	if app == nil {
		return fmt.Errorf("--%s must follow an image", v.name)
	}
	return v.set(app, value)
}

// AddSignatureFlag adds the flag for the signature of an image.
func (p *Parser) AddSignatureFlag(flags *pflag.FlagSet) {
	p.add(flags, "signature", "file", "local signature file to use in validating the preceding image",
		once("signature", func(a *App) *string { return &a.Signature }))
}

// AddFlags adds all flags that act on the preceding image.
func (p *Parser) AddFlags(flags *pflag.FlagSet) {
	p.AddSignatureFlag(flags)
	p.add(flags, "exec", "command", "override the exec command of the preceding image",
		once("exec", func(a *App) *string { return &a.Exec }))
	p.add(flags, "name", "name", "set the name of the app of the preceding image", setName)
	p.add(flags, "working-dir", "path", "override the working directory of the preceding image", setWorkingDir)
	p.add(flags, "user", "user", "override the user of the preceding image: number, name, or a path whose owner is meant",
		func(a *App, v string) error { return setText(&a.User, "user", v) })
	p.add(flags, "group", "group", "override the group of the preceding image, like --user",
		func(a *App, v string) error { return setText(&a.Group, "group", v) })
	p.add(flags, "supplementary-gids", "list", "override the supplementary group ids of the preceding image", setGIDs)
	p.add(flags, "readonly-rootfs", "bool", "mount the root file system of the preceding image read-only", setReadOnly)
	p.addPairs(flags)
	p.addLimits(flags)
}

func (p *Parser) addPairs(flags *pflag.FlagSet) {
	p.add(flags, "environment", "name=value", "set an environment variable for the preceding image",
		pairs("environment", func(a *App) *[]Pair { return &a.Environment }))
	p.add(flags, "annotation", "name=value", "set an annotation of the app of the preceding image",
		identifiers(pairs("annotation", func(a *App) *[]Pair { return &a.Annotations })))
	p.add(flags, "user-annotation", "name=value", "set a user annotation of the app of the preceding image",
		pairs("user-annotation", func(a *App) *[]Pair { return &a.UserAnnotations }))
	p.add(flags, "user-label", "name=value", "set a user label of the app of the preceding image",
		pairs("user-label", func(a *App) *[]Pair { return &a.UserLabels }))
}

func (p *Parser) addLimits(flags *pflag.FlagSet) {
	p.add(flags, "memory", "quantity", "memory limit for the preceding image, such as 16Mi, 50M or 1G", setMemory)
	p.add(flags, "cpu", "quantity", "cpu limit for the preceding image, such as 2 or 500m", setCPU)
	p.add(flags, "cpu-shares", "number", "cpu shares of the preceding image",
		number("cpu-shares", minCPUShares, maxCPUShares, func(a *App) **int { return &a.CPUShares }))
	p.add(flags, "oom-score-adj", "number", "oom-score-adj of the preceding image",
		number("oom-score-adj", -maxOOMScoreAdj, maxOOMScoreAdj, func(a *App) **int { return &a.OOMScoreAdj }))
	p.add(flags, "seccomp", "filter", "filter of system calls for the preceding image, mode=retain|remove[,errno=ERROR],CALL…, such as mode=remove,mount", setSeccomp)
	retain := caps("caps-retain", func(a *App) *[]string { return &a.CapsRetain })
	remove := caps("caps-remove", func(a *App) *[]string { return &a.CapsRemove })
	p.add(flags, "caps-retain", "list", "capabilities that the preceding image keeps, and no other", retain)
	p.add(flags, "caps-remove", "list", "capabilities to take from the preceding image", remove)
	p.add(flags, "cap-retain", "list", "", retain).Hidden = true
	p.add(flags, "cap-remove", "list", "", remove).Hidden = true
}

func (p *Parser) add(flags *pflag.FlagSet, name, kind, usage string, set func(*App, string) error) *pflag.Flag {
	return flags.VarPF(&appValue{parser: p, name: name, kind: kind, set: set}, name, "", usage)
}

// once sets a text that can't be changed any more, nor be empty.
func once(name string, field func(*App) *string) func(*App, string) error {
	return func(app *App, value string) error {
		if *field(app) != "" {
			return fmt.Errorf("--%s may be given only once for an image", name)
		}
		return setText(field(app), name, value)
	}
}

func setText(field *string, name, value string) error {
	if value == "" {
		return fmt.Errorf("--%s must not be empty", name)
	}
	*field = value
	return nil
}

func setName(app *App, value string) error {
	if _, err := appc.NewACName(value); err != nil {
		return fmt.Errorf("--name: %w", err)
	}
	app.Name = value
	return nil
}

func setWorkingDir(app *App, value string) error {
	if !strings.HasPrefix(value, "/") {
		return fmt.Errorf("--working-dir %q must be an absolute path", value)
	}
	app.WorkingDir = value
	return nil
}

func setGIDs(app *App, value string) error {
	app.SupplementaryGIDs = nil
	for word := range strings.SplitSeq(value, ",") {
		gid, err := strconv.ParseUint(strings.TrimSpace(word), 10, 31)
		if err != nil {
			return fmt.Errorf("--supplementary-gids: %q is no group id", word)
		}
		app.SupplementaryGIDs = append(app.SupplementaryGIDs, int(gid))
	}
	return nil
}

func setReadOnly(app *App, value string) (err error) {
	if app.ReadOnlyRootFS, err = strconv.ParseBool(value); err != nil {
		return errors.New("--readonly-rootfs must be set with a boolean")
	}
	return nil
}

func pairs(name string, field func(*App) *[]Pair) func(*App, string) error {
	return func(app *App, value string) error {
		pair, err := ParsePair(value)
		if err == nil {
			err = AddPair(field(app), pair)
		}
		if err != nil {
			return fmt.Errorf("--%s %q: %w", name, value, err)
		}
		return nil
	}
}

// identifiers refuses pairs whose names are no AC identifiers.
func identifiers(set func(*App, string) error) func(*App, string) error {
	return func(app *App, value string) error {
		name, _, _ := strings.Cut(value, "=")
		if _, err := appc.NewACIdentifier(name); err != nil {
			return fmt.Errorf("--annotation %q: %w", value, err)
		}
		return set(app, value)
	}
}

// ParsePair reads "name=value".
func ParsePair(s string) (Pair, error) {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return Pair{}, errors.New("must be specified as key=value")
	}
	return Pair{Name: name, Value: value}, nil
}

// AddPair appends a pair unless its name is there already.
func AddPair(list *[]Pair, pair Pair) error {
	for _, other := range *list {
		if other.Name == pair.Name {
			return fmt.Errorf("key %q already set", pair.Name)
		}
	}
	*list = append(*list, pair)
	return nil
}

func setMemory(app *App, value string) error {
	q, err := appc.ParseQuantity(value)
	if err != nil {
		return fmt.Errorf("--memory: %w", err)
	}
	if q.Value() < minMemory {
		return fmt.Errorf("memory limit of %d bytes too low. Try a reasonable value, such as --memory=16M", q.Value())
	}
	app.Memory = &q
	return nil
}

func setCPU(app *App, value string) error {
	q, err := appc.ParseQuantity(value)
	if err != nil {
		return fmt.Errorf("--cpu: %w", err)
	}
	if q.MilliValue() <= 0 {
		return fmt.Errorf("--cpu %q: must be more than nothing", value)
	}
	app.CPU = &q
	return nil
}

func number(name string, low, high int, field func(*App) **int) func(*App, string) error {
	return func(app *App, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < low || n > high {
			return fmt.Errorf("--%s %q: must be a number between %d and %d", name, value, low, high)
		}
		*field(app) = &n
		return nil
	}
}

func caps(name string, field func(*App) *[]string) func(*App, string) error {
	return func(app *App, value string) error {
		for word := range strings.SplitSeq(value, ",") {
			word = strings.TrimSpace(word)
			if word == "" {
				return fmt.Errorf("--%s %q: an entry of the list is empty", name, value)
			}
			*field(app) = append(*field(app), word)
		}
		if app.CapsRetain != nil && app.CapsRemove != nil {
			return errors.New("error: cannot use both --caps-retain and --caps-remove on the same image")
		}
		return nil
	}
}

// setSeccomp reads mode=retain|remove[,errno=ERROR],CALL,…
func setSeccomp(app *App, value string) error {
	var calls appc.SystemCalls
	mode := ""
	for word := range strings.SplitSeq(value, ",") {
		word = strings.TrimSpace(word)
		name, text, ok := strings.Cut(word, "=")
		switch {
		case word == "":
			return fmt.Errorf("--seccomp %q: an entry of the list is empty", value)
		case !ok:
			calls.Set = append(calls.Set, word)
		case name == "mode" && mode == "":
			mode = text
		case name == "errno" && calls.Errno == "":
			calls.Errno = text
		default:
			return fmt.Errorf("--seccomp %q: what is %q?", value, word)
		}
	}
	switch {
	case mode != "retain" && mode != "remove":
		return fmt.Errorf("--seccomp %q: mode must be retain or remove", value)
	case len(calls.Set) == 0:
		return fmt.Errorf("--seccomp %q: no system calls are named", value)
	}
	calls.Retain = mode == "retain"
	if err := seccomp.Check(&calls); err != nil {
		return fmt.Errorf("--seccomp %q: %w", value, err)
	}
	app.Seccomp = &calls
	return nil
}
