package image

import (
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

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

// Extension is what the name of an image's archive ends in.
const Extension = ".aci"

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
	// Path is set for KindFile; it is absolute.
	Path string
	// URL is set for KindURL and, as given, for KindDocker.
	URL string
}

// String returns the reference as it was given.
func (r Reference) String() string { return r.Input }

// ParseReference understands an image string. Whether a word without a scheme
// names a file may depend on what is there in the file system.
func ParseReference(s string) (Reference, error) {
	return parse(s, func(name string) bool {
		info, err := os.Stat(name)
		return err == nil && info.Mode().IsRegular()
	})
}

// parse does the work of ParseReference; isFile answers for the file system.
func parse(s string, isFile func(string) bool) (Reference, error) {
	if s == "" || strings.ContainsRune(s, 0) {
		return Reference{}, fmt.Errorf("invalid image string %q", s)
	}
	if appc.IsHash(s) {
		return Reference{Kind: KindHash, Input: s, Hash: s}, nil
	}
	scheme, rest, hasScheme := strings.Cut(s, ":")
	if !hasScheme || strings.Contains(scheme, "/") {
		scheme = ""
	}
	switch scheme {
	case "file", "http", "https":
		return parseURL(s)
	case "docker":
		if strings.Trim(rest, "/") == "" {
			return Reference{}, fmt.Errorf("invalid image string %q", s)
		}
		return Reference{Kind: KindDocker, Input: s, URL: s}, nil
	}
	if scheme != "" && strings.HasPrefix(rest, "//") {
		return Reference{}, fmt.Errorf("invalid image string %q: images cannot be had by %q", s, scheme)
	}
	if namesFile(s, scheme != "", isFile) {
		return fileReference(s, s)
	}
	return parseName(s)
}

// namesFile says whether a string without a scheme that rkt knows stands for a
// file.
func namesFile(s string, hasScheme bool, isFile func(string) bool) bool {
	switch {
	case hasScheme:
		return false // "my-app:v1"
	case filepath.IsAbs(s) || isFile(s):
		return true
	case strings.Contains(s, ":"):
		return false
	default:
		return strings.Contains(s, "./") || strings.HasSuffix(s, Extension)
	}
}

func fileReference(input, name string) (Reference, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return Reference{}, fmt.Errorf("find image file %q: %w", name, err)
	}
	return Reference{Kind: KindFile, Input: input, Path: abs}, nil
}

func parseURL(s string) (Reference, error) {
	u, err := url.Parse(s)
	if err != nil || !strings.HasSuffix(u.Path, Extension) {
		return Reference{}, fmt.Errorf("invalid image string %q", s)
	}
	if u.Scheme == "file" {
		if u.Host != "" && u.Host != "localhost" || !path.IsAbs(u.Path) {
			return Reference{}, fmt.Errorf("invalid image string %q", s)
		}
		return fileReference(s, u.Path)
	}
	if u.Host == "" {
		return Reference{}, fmt.Errorf("invalid image string %q", s)
	}
	return Reference{Kind: KindURL, Input: s, URL: s}, nil
}

// parseName reads name[:version][,label=value]….
func parseName(s string) (Reference, error) {
	bad := func(err error) (Reference, error) {
		return Reference{}, fmt.Errorf("invalid image string %q: %w", s, err)
	}
	fields := strings.Split(s, ",")
	name, version, hasVersion := strings.Cut(fields[0], ":")
	id, err := appc.NewACIdentifier(name)
	if err != nil {
		return bad(err)
	}
	var labels appc.Labels
	if hasVersion {
		if version == "" {
			return bad(fmt.Errorf("the version is empty"))
		}
		labels = append(labels, appc.Label{Name: "version", Value: version})
	}
	for _, field := range fields[1:] {
		if labels, err = appendLabel(labels, field); err != nil {
			return bad(err)
		}
	}
	if labels, err = addPlatform(labels); err != nil {
		return bad(err)
	}
	return Reference{Kind: KindName, Input: s, Name: id, Labels: labels}, nil
}

func appendLabel(labels appc.Labels, field string) (appc.Labels, error) {
	name, value, ok := strings.Cut(field, "=")
	if !ok {
		return nil, fmt.Errorf("label %q must be specified as name=value", field)
	}
	id, err := appc.NewACIdentifier(name)
	if err != nil {
		return nil, err
	}
	if _, there := labels.Get(name); there || name == "name" {
		return nil, fmt.Errorf("label %q is given twice or reserved", name)
	}
	return append(labels, appc.Label{Name: id, Value: value}), nil
}

// addPlatform adds os and arch of the host where they are missing and checks
// the result.
func addPlatform(labels appc.Labels) (appc.Labels, error) {
	hostOS, hostArch := appc.PlatformLabels(runtime.GOOS, runtime.GOARCH)
	os, ok := labels.Get("os")
	if !ok {
		os = hostOS
		labels = append(labels, appc.Label{Name: "os", Value: os})
	}
	arch, ok := labels.Get("arch")
	if !ok {
		arch = hostArch
		labels = append(labels, appc.Label{Name: "arch", Value: arch})
	}
	return labels, appc.CheckOSArch(os, arch)
}
