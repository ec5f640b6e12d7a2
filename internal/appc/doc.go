// Package appc holds the data formats of the App Container specification
// 0.8.11: image and pod manifests and the small types they are made of.
//
// The package is pure: it parses, checks and writes bytes and does no input or
// output. A manifest that came out of [ParseImageManifest] or
// [ParsePodManifest] is valid as a whole. The small types are strings without
// decoding methods of their own, so that an error can name the field at fault;
// decode manifests with the Parse functions only.
//
// Marshalling a manifest with encoding/json writes its fields in the order
// that rkt has always used.
package appc

// SpecVersion is the version of the specification that this package follows
// and writes.
const SpecVersion = "0.8.11"

// Kinds of manifests, the value of their field acKind.
const (
	ImageManifestKind = "ImageManifest"
	PodManifestKind   = "PodManifest"
)

// Upper bounds of what is parsed, in bytes.
const (
	MaxImageManifestSize = 1 << 20
	MaxPodManifestSize   = 4 << 20
)
