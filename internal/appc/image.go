package appc

import "errors"

// ImageManifest describes an image.
type ImageManifest struct {
	ACKind        string       `json:"acKind"`
	ACVersion     string       `json:"acVersion"`
	Name          ACIdentifier `json:"name"`
	Labels        Labels       `json:"labels,omitempty"`
	App           *App         `json:"app,omitempty"`
	Annotations   Annotations  `json:"annotations,omitempty"`
	Dependencies  []Dependency `json:"dependencies,omitempty"`
	PathWhitelist []string     `json:"pathWhitelist,omitempty"`
}

// Dependency is an image whose files lie below those of the image that names
// it.
type Dependency struct {
	ImageName ACIdentifier `json:"imageName"`
	ImageID   Hash         `json:"imageID,omitempty"`
	Labels    Labels       `json:"labels,omitempty"`
	Size      uint64       `json:"size,omitempty"`
}

// ParseImageManifest parses and checks an image manifest. The error names the
// field at fault.
func ParseImageManifest(b []byte) (*ImageManifest, error) {
	return nil, errors.ErrUnsupported
}

// Version returns the value of the label version, "latest" if there is none.
func (m *ImageManifest) Version() string {
	if v, ok := m.Labels.Get("version"); ok {
		return v
	}
	return "latest"
}
