package appc

import "fmt"

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
	var m ImageManifest
	err := decode(b, MaxImageManifestSize, &m)
	if err == nil {
		m.setDefaults()
		err = m.validate()
	}
	if err != nil {
		return nil, fmt.Errorf("invalid image manifest: %w", err)
	}
	return &m, nil
}

func (m *ImageManifest) setDefaults() {
	if m.App != nil {
		m.App.setDefaults()
	}
}

func (m *ImageManifest) validate() error {
	if err := first(
		checkKind(m.ACKind, ImageManifestKind),
		at("acVersion", checkVersion(m.ACVersion)),
		at("name", checkIdentifier(m.Name)),
		m.Labels.validate(),
		m.Annotations.validate(),
		each("dependencies", m.Dependencies, Dependency.validate),
		each("pathWhitelist", m.PathWhitelist, checkPath),
	); err != nil {
		return err
	}
	if m.App != nil {
		return at("app", m.App.validate())
	}
	return nil
}

func (d Dependency) validate() error {
	var idErr error
	if d.ImageID != "" {
		_, idErr = ParseHash(string(d.ImageID))
	}
	return first(at("imageName", checkIdentifier(d.ImageName)), at("imageID", idErr), d.Labels.validate())
}

// Version returns the value of the label version, "latest" if there is none.
func (m *ImageManifest) Version() string {
	if v, ok := m.Labels.Get("version"); ok {
		return v
	}
	return "latest"
}
