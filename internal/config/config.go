package config

import (
	"strconv"
	"strings"

	"rkt/internal/stage1"
)

// Config is what all files together say, or those of some kinds.
type Config struct {
	// Auth holds the credentials for servers, DockerAuth those for registries,
	// each by its host.
	Auth       map[string]Auth
	DockerAuth map[string]DockerAuth
	Paths      Paths
	Stage1     Stage1
	Images     Images
}

// Paths says where things are kept. What is empty was not configured; what is
// not is an absolute path.
type Paths struct {
	Data         string // the data directory
	Stage1Images string // the directory that --stage1-from-dir looks in
}

// Images says which images are taken.
type Images struct {
	// MaxSize is how much an image may have at most, as it is fetched and
	// uncompressed, in bytes; 0 means that this is not configured.
	MaxSize int64
}

// Stage1 names the image that pods run in when nobody names one. Name and
// Version are both empty or both set. Location is an absolute path or a URL.
type Stage1 struct {
	Name, Version, Location string
	// RequireIsolation is what every pod must have around it at least, "" if
	// that is not configured.
	RequireIsolation stage1.Isolation
}

// DockerAuth is who to be to one registry.
type DockerAuth struct {
	User     string
	Password Secret
}

// Secret is a text that is printed only where somebody takes pains to.
type Secret string

// String hides the secret.
func (s Secret) String() string { return "[secret]" }

// GoString hides the secret.
func (s Secret) GoString() string { return s.String() }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// harmless quotes what should be a host or a URL, unless there may be a password
// in it.
func harmless(s string) string {
	if strings.Contains(s, "@") {
		return "what is there"
	}
	return strconv.Quote(s)
}

// setting is one thing that a file sets.
type setting struct {
	what  string // it is set once in a directory
	at    *value // where the file sets it
	apply func(*Config)
}
