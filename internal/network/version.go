package network

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/version"
)

// chooseVersion picks the newest version of the specification that all plugins
// of a configuration speak, if it names none. Such a one is by the book for
// version 0.1.0, which knows neither chains nor IPv6, but is written by people
// who don't care.
func (a *attachment) chooseVersion(ctx context.Context, runner *runner) error {
	if a.list.CNIVersion != "" {
		return nil
	}
	common := version.All.SupportedVersions()
	for _, plugin := range a.list.Plugins {
		info, err := a.cni(runner).GetVersionInfo(ctx, plugin.Network.Type)
		if err != nil {
			return err
		}
		common = slices.DeleteFunc(slices.Clone(common), func(v string) bool {
			return !slices.Contains(info.SupportedVersions(), v)
		})
	}
	if len(common) == 0 {
		return fmt.Errorf("its plugins have no version of CNI in common with rkt's %s",
			strings.Join(version.All.SupportedVersions(), ", "))
	}
	newest := common[0]
	for _, v := range common {
		if later, err := version.GreaterThan(v, newest); err == nil && later {
			newest = v
		}
	}
	return a.setMember("cniVersion", newest)
}

// setMember changes the copy of the configuration.
func (a *attachment) setMember(name string, value any) error {
	var list map[string]json.RawMessage
	if err := json.Unmarshal(a.Config, &list); err != nil {
		return err
	}
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	list[name] = b
	if a.Config, err = json.Marshal(list); err != nil {
		return err
	}
	return a.parse()
}
