package network

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/utils"

	"rkt/internal/errhint"
	"rkt/internal/stage1"
)

const (
	// configDir is below the local configuration directory.
	configDir = "net.d"
	// maxConfig bounds a configuration, and maxPlugins what it may chain.
	maxConfig  = 1 << 20
	maxPlugins = 32
)

//go:embed net.d
var builtin embed.FS

// Definition is one configured network.
type Definition struct {
	Name string
	// File is where it was found, empty for a network that is built in.
	File string

	list   *libcni.NetworkConfigList
	policy policy
}

// policy is what a configuration says to us, in a member "rkt" beside the
// plugins. Plugins don't see it.
type policy struct {
	// AllowSpoofing lets a pod send from addresses that aren't its own, as
	// routers do.
	AllowSpoofing bool `json:"allowSpoofing"`
	// DenyLinkLocal keeps a machine from the addresses that mean something else
	// on every link, such as the metadata services of clouds.
	DenyLinkLocal bool `json:"denyLinkLocal"`
}

// Definitions are all networks that a pod can be on, in the order in which
// their interfaces are numbered: that of their files' names.
type Definitions struct {
	byFile []*Definition
	// Notices are lines for the user about files that override or are ignored.
	Notices []string
}

// Load reads the networks below the local configuration directory and those
// that are built in. A file that can't be used is an error that names it.
func Load(localConfig string) (*Definitions, error) {
	d := &Definitions{}
	dir := filepath.Join(localConfig, configDir)
	if localConfig != "" {
		if err := d.addDir(os.DirFS(dir), dir); err != nil {
			return nil, err
		}
	}
	own, err := fs.Sub(builtin, configDir)
	if err != nil {
		return nil, err
	}
	builtins := &Definitions{}
	if err := builtins.addDir(own, ""); err != nil {
		return nil, err
	}
	for _, b := range builtins.byFile {
		if d.get(b.Name) != nil {
			d.Notices = append(d.Notices, fmt.Sprintf("overriding %q network with one from %s", b.Name, dir))
			continue
		}
		d.byFile = append(d.byFile, b)
	}
	slices.SortStableFunc(d.byFile, func(a, b *Definition) int {
		return strings.Compare(a.order(), b.order())
	})
	return d, nil
}

// order is the name of the file that defines the network.
func (d *Definition) order() string {
	if d.File != "" {
		return filepath.Base(d.File)
	}
	return "99-" + d.Name
}

// addDir adds the networks of a directory, which need not exist. At names it
// to the user, empty for what is built in.
func (d *Definitions) addDir(dir fs.FS, at string) error {
	entries, err := fs.ReadDir(dir, ".")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !isConfig(dir, entry) {
			continue
		}
		file := ""
		if at != "" {
			file = filepath.Join(at, entry.Name())
		}
		definition, err := readDefinition(dir, entry.Name())
		if err != nil {
			return errhint.With(fmt.Errorf("network configuration %s: %w", filepath.Join(at, entry.Name()), err),
				"correct the file, or give it a name that ends in neither .conf nor .conflist")
		}
		definition.File = file
		if d.get(definition.Name) != nil {
			d.Notices = append(d.Notices, fmt.Sprintf("ignoring %s: there is a network %q in %s already",
				file, definition.Name, d.get(definition.Name).File))
			continue
		}
		d.byFile = append(d.byFile, definition)
	}
	return nil
}

// isConfig says whether an entry is a file, or a link to one, with a
// configuration's name.
func isConfig(dir fs.FS, entry fs.DirEntry) bool {
	switch filepath.Ext(entry.Name()) {
	case ".conf", ".conflist":
	default:
		return false
	}
	info, err := fs.Stat(dir, entry.Name())
	return err == nil && info.Mode().IsRegular()
}

func readDefinition(dir fs.FS, name string) (*Definition, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, err
	}
	return parseDefinition(b)
}

// parseDefinition reads a configuration list, or a single configuration as a
// list of one.
func parseDefinition(b []byte) (*Definition, error) {
	if len(b) > maxConfig {
		return nil, fmt.Errorf("more than %d bytes", maxConfig)
	}
	var shape struct {
		Name    string          `json:"name"`
		Type    string          `json:"type"`
		Plugins json.RawMessage `json:"plugins"`
		Rkt     policy          `json:"rkt"`
	}
	if err := json.Unmarshal(b, &shape); err != nil {
		return nil, err
	}
	if len(shape.Plugins) == 0 {
		if shape.Type == "" {
			return nil, errors.New(`neither "plugins" nor a "type"`)
		}
		wrapped, err := wrap(b)
		if err != nil {
			return nil, err
		}
		b = wrapped
	}
	list, err := libcni.NetworkConfFromBytes(b)
	if err != nil {
		return nil, err
	}
	if err := checkList(list); err != nil {
		return nil, err
	}
	return &Definition{Name: list.Name, list: list, policy: shape.Rkt}, nil
}

// wrap makes a list of a single configuration.
func wrap(b []byte) ([]byte, error) {
	var single map[string]json.RawMessage
	if err := json.Unmarshal(b, &single); err != nil {
		return nil, err
	}
	list := map[string]any{"plugins": []any{single}}
	for _, member := range []string{"name", "cniVersion", "cniVersions", "rkt"} {
		if value, ok := single[member]; ok {
			list[member] = value
		}
	}
	delete(single, "rkt")
	return json.Marshal(list)
}

// checkList refuses what would only fail later, with a process started.
func checkList(list *libcni.NetworkConfigList) error {
	// The error is a pointer of a concrete type, never a nil in an interface.
	if err := utils.ValidateNetworkName(list.Name); err != nil {
		return fmt.Errorf("name %q: %w", list.Name, err)
	}
	for _, special := range []string{stage1.NetworkNone, stage1.NetworkHost, stage1.NetworkAll} {
		if list.Name == special {
			return fmt.Errorf("name %q has a meaning of its own", list.Name)
		}
	}
	switch n := len(list.Plugins); {
	case n == 0:
		return errors.New("no plugins")
	case n > maxPlugins:
		return fmt.Errorf("%d plugins, more than %d", n, maxPlugins)
	}
	for i, plugin := range list.Plugins {
		if plugin.Network.Type == "" || strings.ContainsAny(plugin.Network.Type, "/\x00") {
			return fmt.Errorf("plugins[%d]: %q is not the name of a plugin", i, plugin.Network.Type)
		}
		if ipam := plugin.Network.IPAM.Type; strings.ContainsAny(ipam, "/\x00") {
			return fmt.Errorf("plugins[%d]: %q is not the name of a plugin", i, ipam)
		}
	}
	return nil
}

func (d *Definitions) get(name string) *Definition {
	for _, definition := range d.byFile {
		if definition.Name == name {
			return definition
		}
	}
	return nil
}

// selected is a network that the pod is to be on.
type selected struct {
	*Definition
	args string
}

// choose returns the networks that were asked for, in the order of their
// files.
func (d *Definitions) choose(requests stage1.NetRequests) ([]selected, error) {
	var missing []string
	for _, r := range requests {
		if r.Name != stage1.NetworkAll && d.get(r.Name) == nil {
			missing = append(missing, r.Name)
		}
	}
	if len(missing) > 0 {
		return nil, errhint.With(fmt.Errorf("networks not found: %s", strings.Join(missing, ", ")),
			"there are: "+strings.Join(d.names(), ", "))
	}
	var chosen []selected
	for _, definition := range d.byFile {
		i := slices.IndexFunc(requests, func(r stage1.NetRequest) bool { return r.Name == definition.Name })
		switch {
		case i >= 0:
			chosen = append(chosen, selected{definition, requests[i].Args})
		case requests.Has(stage1.NetworkAll):
			chosen = append(chosen, selected{definition, ""})
		}
	}
	return chosen, nil
}

func (d *Definitions) names() []string {
	var names []string
	for _, definition := range d.byFile {
		names = append(names, definition.Name)
	}
	return names
}
