package image

import (
	"errors"

	"rkt/internal/appc"
)

// Kind says what an image string stands for.
type Kind int

// The kinds of image strings.
const (
	KindHash   Kind = iota // an image id, or the beginning of one
	KindName               // an image name with labels
	KindFile               // a file
	KindURL                // an http or https URL
	KindDocker             // a docker reference
)

// Reference is an image string, understood.
type Reference struct {
	Kind Kind
	// Input is the string as it was given.
	Input string
	// Hash is set for KindHash.
	Hash string
	// Name and Labels are set for KindName. Labels holds os and arch of the
	// host unless the string names others.
	Name   appc.ACIdentifier
	Labels appc.Labels
	// Path is set for KindFile.
	Path string
	// URL is set for KindURL and, as given, for KindDocker.
	URL string
}

// String returns the reference as it was given.
func (r Reference) String() string { return r.Input }

// ParseReference understands an image string. Whether a word without a scheme
// names a file may depend on what is there in the file system.
func ParseReference(s string) (Reference, error) {
	return Reference{}, errors.ErrUnsupported
}
