package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"rkt/internal/network/guard"
)

// pluginDir is where rkt 1.30 had the plugins in its stage1 images, too. The
// program is beside them under a name that is no plugin's.
const (
	pluginDir     = "usr/lib/rkt/plugins/net"
	pluginProgram = "usr/lib/rkt/plugins/cni"
)

// addPlugins adds the CNI plugins: one program that looks at its name.
func addPlugins(p part) error {
	if p.options.plugins == "" || p.options.pluginNames == "" {
		return errors.New("an image with networks needs -plugins and -plugin-names")
	}
	names, err := os.ReadFile(p.options.pluginNames)
	if err != nil {
		return fmt.Errorf("read the plugins' names: %w", err)
	}
	if err := p.tree.File(pluginProgram, absolute(p.options.plugins), 0o755); err != nil {
		return err
	}
	for _, name := range strings.Fields(string(names)) {
		if err := p.tree.Symlink(pluginDir+"/"+name, "../cni"); err != nil {
			return err
		}
	}
	// The entry points' program is one, too.
	return p.tree.Symlink(pluginDir+"/"+guard.Name, "../../../../../"+programName)
}
