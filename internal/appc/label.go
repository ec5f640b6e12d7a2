package appc

import (
	"fmt"
	"slices"
	"strings"
)

// Label is one property that images of the same name differ by, such as
// version, os and arch.
type Label struct {
	Name  ACIdentifier `json:"name"`
	Value string       `json:"value"`
}

// Labels are the labels of an image. Names are unique.
type Labels []Label

// Get returns the value of the label name.
func (l Labels) Get(name string) (string, bool) {
	for _, label := range l {
		if string(label.Name) == name {
			return label.Value, true
		}
	}
	return "", false
}

// Annotation is one piece of metadata that has no meaning for matching.
type Annotation struct {
	Name  ACIdentifier `json:"name"`
	Value string       `json:"value"`
}

// Annotations are the annotations of an image, an app or a pod.
type Annotations []Annotation

// Get returns the value of the first annotation name.
func (a Annotations) Get(name string) (string, bool) {
	for _, annotation := range a {
		if string(annotation.Name) == name {
			return annotation.Value, true
		}
	}
	return "", false
}

// Set gives the annotation name a value, in place if it exists.
func (a *Annotations) Set(name ACIdentifier, value string) {
	for i := range *a {
		if (*a)[i].Name == name {
			(*a)[i].Value = value
			return
		}
	}
	*a = append(*a, Annotation{Name: name, Value: value})
}

// architectures returns the values of the label arch that go with an os.
func architectures(os string) []string {
	if os != "linux" {
		return nil
	}
	return []string{"amd64", "i386", "aarch64", "aarch64_be", "armv6l", "armv7l", "armv7b", "ppc64le"}
}

// CheckPlatform checks that labels name an os and an arch that are known. It
// is meant for the time a pod is prepared; an image may be stored without.
func (l Labels) CheckPlatform() error {
	os, ok := l.Get("os")
	if !ok {
		return fmt.Errorf("missing os label in the image manifest")
	}
	arch, ok := l.Get("arch")
	if !ok {
		return fmt.Errorf("missing arch label in the image manifest")
	}
	return CheckOSArch(os, arch)
}

// CheckOSArch checks the values of the labels os and arch.
func CheckOSArch(os, arch string) error {
	known := architectures(os)
	if known == nil {
		return fmt.Errorf("bad os %q (must be one of: [linux])", os)
	}
	if !slices.Contains(known, arch) {
		return fmt.Errorf("bad arch %q for %s (must be one of: [%s])", arch, os, strings.Join(known, " "))
	}
	return nil
}

// PlatformLabels returns the values of os and arch for what Go calls goos and
// goarch. Where the specification has no name of its own Go's is returned.
func PlatformLabels(goos, goarch string) (os, arch string) {
	names := map[string]string{"386": "i386", "arm64": "aarch64", "arm": "armv7l"}
	if name, ok := names[goarch]; ok && goos == "linux" {
		return goos, name
	}
	return goos, goarch
}
