package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

// globalFlags are accepted by every command.
type globalFlags struct {
	debug              bool
	dir                dataDirFlag
	systemConfig       directory
	localConfig        directory
	userConfig         directory
	insecure           insecureOptions
	trustKeysFromHTTPS bool
}

func (g *globalFlags) add(flags *pflag.FlagSet) {
	g.dir.path, g.systemConfig, g.localConfig = "/var/lib/rkt", "/usr/lib/rkt", "/etc/rkt"
	flags.BoolVar(&g.debug, "debug", false, "print diagnostic lines and whole chains of errors")
	flags.Var(&g.dir, "dir", "data directory; if not given, the one that is configured, if any")
	flags.Var(&g.systemConfig, "system-config", "system configuration directory")
	flags.Var(&g.localConfig, "local-config", "local configuration directory")
	flags.Var(&g.userConfig, "user-config", "user configuration directory")
	flags.Var(&g.insecure, "insecure-options", "checks to leave out, as a list: "+strings.Join(insecureNames(), ", "))
	flags.BoolVar(&g.trustKeysFromHTTPS, "trust-keys-from-https", false, "trust keys fetched over https without asking")
}

// again returns the flags that make another rkt work on the same data.
func (g *globalFlags) again() []string {
	args := []string{"--system-config=" + string(g.systemConfig), "--local-config=" + string(g.localConfig)}
	if g.userConfig != "" {
		args = append(args, "--user-config="+string(g.userConfig))
	}
	if g.dir.given {
		args = append(args, "--dir="+string(g.dir.path))
	}
	return args
}

// directory is a flag with the path of a directory. It becomes absolute and
// free of symbolic links; the directory need not exist.
type directory string

func (d *directory) String() string { return string(*d) }
func (d *directory) Type() string   { return "string" }

func (d *directory) Set(value string) error {
	if value == "" {
		return errors.New("must not be empty")
	}
	path, err := filepath.Abs(value)
	if err != nil {
		return err
	}
	resolved, err := filepath.EvalSymlinks(path)
	switch {
	case err == nil:
		path = resolved
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	*d = directory(path)
	return nil
}

// dataDirFlag is the flag with the data directory. Only if it was given does it
// count more than the configuration.
type dataDirFlag struct {
	path  directory
	given bool
}

func (d *dataDirFlag) String() string { return d.path.String() }
func (d *dataDirFlag) Type() string   { return d.path.Type() }

func (d *dataDirFlag) Set(value string) error {
	d.given = true
	return d.path.Set(value)
}

// insecureOption is one or more checks that may be left out.
type insecureOption uint

const (
	insecureImage insecureOption = 1 << iota
	insecureTLS
	insecureOnDisk
	insecureHTTP
	insecurePubKey
	insecureCapabilities
	insecurePaths
	insecureSeccomp
	insecureStage1
)

// insecureOptions is the flag that collects them.
type insecureOptions struct {
	set   insecureOption
	words []string
}

// insecureTable lists the words of the flag. "ondisk" is an old one: there is
// no check left that it could switch off.
func insecureTable() []struct {
	name string
	bits insecureOption
} {
	const (
		allFetch = insecureImage | insecureTLS | insecureHTTP | insecurePubKey
		allRun   = insecureCapabilities | insecurePaths | insecureSeccomp
	)
	return []struct {
		name string
		bits insecureOption
	}{
		{"none", 0},
		{"image", insecureImage},
		{"tls", insecureTLS},
		{"ondisk", insecureOnDisk},
		{"http", insecureHTTP},
		{"pubkey", insecurePubKey},
		{"capabilities", insecureCapabilities},
		{"paths", insecurePaths},
		{"seccomp", insecureSeccomp},
		{"stage1", insecureStage1},
		{"all-fetch", allFetch},
		{"all-run", allRun},
		{"all", allFetch | allRun | insecureOnDisk | insecureStage1},
	}
}

func insecureNames() []string {
	var names []string
	for _, entry := range insecureTable() {
		names = append(names, entry.name)
	}
	return names
}

func (o *insecureOptions) has(bit insecureOption) bool { return o.set&bit != 0 }

func (o *insecureOptions) String() string {
	if len(o.words) == 0 {
		return "none"
	}
	return strings.Join(o.words, ",")
}

func (o *insecureOptions) Type() string { return "string" }

func (o *insecureOptions) Set(value string) error {
	var parsed insecureOptions
	for word := range strings.SplitSeq(strings.ToLower(value), ",") {
		if err := parsed.add(word); err != nil {
			return err
		}
	}
	*o = parsed
	return nil
}

func (o *insecureOptions) add(word string) error {
	for _, other := range o.words {
		if other == word {
			return fmt.Errorf("duplicated option %q", word)
		}
	}
	for _, entry := range insecureTable() {
		if entry.name == word {
			o.set |= entry.bits
			o.words = append(o.words, word)
			return nil
		}
	}
	return fmt.Errorf("unknown option %q", word)
}
