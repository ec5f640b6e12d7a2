package appc

import "fmt"

// PodManifest describes a pod: its apps and what they share.
type PodManifest struct {
	ACVersion       string            `json:"acVersion"`
	ACKind          string            `json:"acKind"`
	Apps            []RuntimeApp      `json:"apps"`
	Volumes         []Volume          `json:"volumes"`
	Isolators       Isolators         `json:"isolators"`
	Annotations     Annotations       `json:"annotations"`
	Ports           []ExposedPort     `json:"ports"`
	UserAnnotations map[string]string `json:"userAnnotations,omitempty"`
	UserLabels      map[string]string `json:"userLabels,omitempty"`
}

// RuntimeApp is one app of a pod. App, where given, replaces that of the image.
type RuntimeApp struct {
	Name           ACName       `json:"name"`
	Image          RuntimeImage `json:"image"`
	App            *App         `json:"app,omitempty"`
	ReadOnlyRootFS bool         `json:"readOnlyRootFS,omitempty"`
	Mounts         []Mount      `json:"mounts,omitempty"`
	Annotations    Annotations  `json:"annotations,omitempty"`
}

// RuntimeImage names the image of an app.
type RuntimeImage struct {
	Name   *ACIdentifier `json:"name,omitempty"`
	ID     Hash          `json:"id"`
	Labels Labels        `json:"labels,omitempty"`
}

// Mount puts a volume at a path of an app.
type Mount struct {
	Volume    ACName  `json:"volume"`
	Path      string  `json:"path"`
	AppVolume *Volume `json:"appVolume,omitempty"`
}

// Volume kinds.
const (
	VolumeHost  = "host"
	VolumeEmpty = "empty"
)

// Volume is a directory that apps of a pod may share.
type Volume struct {
	Name      ACName  `json:"name"`
	Kind      string  `json:"kind"`
	Source    string  `json:"source,omitempty"`
	ReadOnly  *bool   `json:"readOnly,omitempty"`
	Recursive *bool   `json:"recursive,omitempty"`
	Mode      *string `json:"mode,omitempty"`
	UID       *int    `json:"uid,omitempty"`
	GID       *int    `json:"gid,omitempty"`
}

// ExposedPort is a port of the host that leads to a named port of an app.
type ExposedPort struct {
	Name     ACName `json:"name"`
	HostPort uint   `json:"hostPort"`
	HostIP   string `json:"hostIP,omitempty"`
	PodPort  *Port  `json:"podPort,omitempty"`
}

// ParsePodManifest parses and checks a pod manifest. The error names the field
// at fault.
func ParsePodManifest(b []byte) (*PodManifest, error) {
	var m PodManifest
	err := decode(b, MaxPodManifestSize, &m)
	if err == nil {
		m.setDefaults()
		err = m.validate()
	}
	if err != nil {
		return nil, fmt.Errorf("invalid pod manifest: %w", err)
	}
	return &m, nil
}

func (m *PodManifest) setDefaults() {
	m.Isolators.compact()
	for i := range m.Apps {
		if app := m.Apps[i].App; app != nil {
			app.setDefaults()
		}
	}
	for i := range m.Ports {
		if port := m.Ports[i].PodPort; port != nil {
			port.setDefaults()
		}
	}
}

// Get returns the app name, or nil.
func (m *PodManifest) Get(name ACName) *RuntimeApp {
	for i := range m.Apps {
		if m.Apps[i].Name == name {
			return &m.Apps[i]
		}
	}
	return nil
}
