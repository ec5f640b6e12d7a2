package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"rkt/internal/config"
)

func (p *program) newConfig() *cobra.Command {
	var pretty bool
	cmd := &cobra.Command{
		Use:   "config [--pretty-print=false]",
		Short: "Print the configuration",
		Long: `Prints what the configuration files say together, as one JSON object whose
"stage0" holds documents that could be in files. Credentials are part of it.
Of the directories the system's counts least and the user's most.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return p.config(pretty) },
	}
	cmd.Flags().BoolVar(&pretty, "pretty-print", true, "indent the JSON")
	return cmd
}

func (p *program) config(pretty bool) error {
	c, err := p.configDirs().All()
	if err != nil {
		return detail(err)
	}
	if p.global.dir.given {
		c.Paths.Data = p.global.dir.String()
	}
	out := json.NewEncoder(p.stdout)
	out.SetEscapeHTML(false) // people copy passwords out of it
	if pretty {
		out.SetIndent("", "\t")
	}
	return out.Encode(struct {
		Stage0 []any `json:"stage0"`
	}{c.Documents()})
}

func (p *program) configDirs() config.Dirs {
	return config.Dirs{
		System: string(p.global.systemConfig), Local: string(p.global.localConfig), User: string(p.global.userConfig),
	}
}

// dataDir returns the data directory: the one that was given, else the one that
// is configured, else the usual one.
func (p *program) dataDir() (string, error) {
	dir := &p.global.dir
	if dir.given {
		return dir.String(), nil
	}
	paths, err := p.configDirs().Paths()
	if err != nil {
		return "", detail(err)
	}
	if paths.Data != "" {
		if err := dir.path.Set(paths.Data); err != nil {
			return "", fmt.Errorf("configured data directory: %w", err)
		}
	}
	return dir.String(), nil
}
