package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/utils"

	"rkt/internal/fault"
	"rkt/internal/network/guard"
	"rkt/internal/stage1"
)

// Files in the pod's directory.
const (
	namespaceFile = "netns"           // the pod's namespace is mounted on it
	innerFile     = "netns.inside"    // and that of what runs in it, if another
	recordDir     = "net"             // what Teardown needs, and libcni's results
	recordFile    = "net/record.json" // see record
	maxRecord     = 16 << 20
)

// record is what was about to be done when it was written.
type record struct {
	Attachments []*attachment `json:"attachments"`
}

// attachment is one network of a pod.
type attachment struct {
	Name      string `json:"name"`
	File      string `json:"file,omitempty"` // where the configuration was found
	Interface string `json:"interface"`
	Args      string `json:"args,omitempty"`
	// Config is a copy of the configuration list.
	Config json.RawMessage `json:"config"`
	Policy policy          `json:"policy"`
	// Ports are those of the host that lead to the pod over this network.
	Ports []PortMapping `json:"ports,omitempty"`
	// MetadataPort is that of the service at the network's gateway that the pod may
	// ask, 0 if it may ask none.
	MetadataPort uint16 `json:"metadataPort,omitempty"`
	// Plugins are the directories of plugins, the first that has one counts.
	Plugins []string `json:"plugins"`

	list *libcni.NetworkConfigList
}

// write notes the record for good before anything in it is done.
func (r *record) write() error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(recordDir, 0o700); err != nil {
		return err
	}
	return replace(recordFile, b)
}

// replace writes a file that is either there or not.
func replace(path string, content []byte) error {
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	fault.Point("network." + filepath.Base(path) + ".before-rename")
	err = os.Rename(temporary, path)
	fault.Point("network." + filepath.Base(path) + ".after-rename")
	return err
}

// readRecord returns an empty record if none was written: then nothing was done.
func readRecord() (*record, error) {
	f, err := os.Open(recordFile)
	if errors.Is(err, os.ErrNotExist) {
		return &record{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return nil, err
	}
	r, err := parseRecord(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", recordFile, err)
	}
	return r, nil
}

func parseRecord(b []byte) (*record, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, err
	}
	for i, a := range r.Attachments {
		if a == nil {
			return nil, fmt.Errorf("attachments[%d] is null", i)
		}
		if err := a.parse(); err != nil {
			return nil, fmt.Errorf("network %q: %w", a.Name, err)
		}
	}
	return &r, nil
}

// parse completes an attachment from its copy of the configuration.
func (a *attachment) parse() error {
	definition, err := parseDefinition(a.Config)
	if err != nil {
		return err
	}
	if err := utils.ValidateInterfaceName(a.Interface); err != nil {
		return fmt.Errorf("interface %q: %w", a.Interface, err)
	}
	a.list = definition.list
	return nil
}

// runtime returns what libcni wants to know besides the configuration.
func (a *attachment) runtime(uuid, namespace string) (*libcni.RuntimeConf, error) {
	rt := &libcni.RuntimeConf{ContainerID: uuid, NetNS: namespace, IfName: a.Interface}
	if a.Args != "" {
		pairs, err := stage1.ParseNetArgs(a.Args)
		if err != nil {
			return nil, err
		}
		rt.Args = pairs
	}
	rt.CapabilityArgs = make(map[string]any)
	if len(a.Ports) > 0 {
		rt.CapabilityArgs[portCapability] = a.Ports
	}
	if a.MetadataPort != 0 {
		rt.CapabilityArgs[guard.PortCapability] = a.MetadataPort
	}
	return rt, nil
}

// cni returns the caller of the attachment's plugins.
func (a *attachment) cni(runner *runner) *libcni.CNIConfig {
	return libcni.NewCNIConfigWithCacheDir(a.Plugins, recordDir, runner)
}

// pluginPath returns where the first plugin is, empty if it isn't there.
func (a *attachment) pluginPath(runner *runner) string {
	path, err := runner.FindInPath(a.list.Plugins[0].Network.Type, a.Plugins)
	if err != nil {
		return ""
	}
	return path
}
