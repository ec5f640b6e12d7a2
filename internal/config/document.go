package config

import (
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"rkt/internal/appc"
	"rkt/internal/stage1"
)

// version1 is the only version of the kinds.
const version1 = "v1"

// Names of the kinds and of the directories that they belong into.
const (
	kindAuth       = "auth"
	kindDockerAuth = "dockerAuth"
	kindPaths      = "paths"
	kindStage1     = "stage1"
	kindIsolation  = "isolation"
	kindImages     = "images"

	authDir   = "auth.d"
	pathsDir  = "paths.d"
	stage1Dir = "stage1.d"
	imagesDir = "images.d"
)

// Names of fields.
const (
	fieldVersion     = "rktVersion"
	fieldKind        = "rktKind"
	fieldCredentials = "credentials"
	fieldMaxSize     = "maxSize"
)

// kinds returns those that belong into a directory.
func kinds(dir string) []string {
	switch dir {
	case authDir:
		return []string{kindAuth, kindDockerAuth}
	case pathsDir:
		return []string{kindPaths}
	case imagesDir:
		return []string{kindImages}
	default:
		return []string{kindStage1, kindIsolation}
	}
}

// parse reads a file that is in the directory of the given name.
func parse(b []byte, dir string) ([]setting, error) {
	doc, err := parseJSON(b)
	if err != nil {
		return nil, err
	}
	if err := doc.is(kindObject); err != nil {
		return nil, err
	}
	kind, err := doc.string(fieldKind)
	if err != nil {
		return nil, err
	}
	version, err := doc.string(fieldVersion)
	if err != nil {
		return nil, err
	}
	at := doc.members[fieldKind]
	switch known := []string{kindAuth, kindDockerAuth, kindPaths, kindStage1, kindIsolation, kindImages}; {
	case !slices.Contains(known, kind):
		return nil, at.errorf("%q is none of %s", kind, strings.Join(known, ", "))
	case version != version1:
		return nil, doc.members[fieldVersion].errorf("%q of the kind %q is unknown, must be %q", version, kind, version1)
	case !slices.Contains(kinds(dir), kind):
		return nil, at.errorf("%q does not belong into %s, only %s", kind, dir, strings.Join(kinds(dir), " and "))
	}
	switch kind {
	case kindAuth:
		return parseAuth(doc)
	case kindDockerAuth:
		return parseDockerAuth(doc)
	case kindPaths:
		return parsePaths(doc)
	case kindIsolation:
		return parseIsolation(doc)
	case kindImages:
		return parseImages(doc)
	default:
		return parseStage1(doc)
	}
}

func parseDockerAuth(doc *value) ([]setting, error) {
	if err := doc.only(fieldVersion, fieldKind, "registries", fieldCredentials); err != nil {
		return nil, err
	}
	registries, err := doc.texts("registries")
	if err != nil {
		return nil, err
	}
	user, password, err := parseBasic(doc)
	if err != nil {
		return nil, err
	}
	var settings []setting
	for _, registry := range registries {
		settings = append(settings, setting{
			what:  "credentials for the registry " + registry.text,
			at:    registry,
			apply: func(c *Config) { c.DockerAuth[registry.text] = DockerAuth{user, password} },
		})
	}
	return settings, nil
}

// parseBasic reads credentials that are a name and a password.
func parseBasic(doc *value) (user string, password Secret, err error) {
	credentials, err := doc.member(fieldCredentials, kindObject)
	if err != nil {
		return "", "", err
	}
	if err := credentials.only("user", "password"); err != nil {
		return "", "", err
	}
	if user, err = credentials.string("user"); err != nil {
		return "", "", err
	}
	text, err := credentials.string("password")
	return user, Secret(text), err
}

func parsePaths(doc *value) ([]setting, error) {
	if err := doc.only(fieldVersion, fieldKind, "data", "stage1-images"); err != nil {
		return nil, err
	}
	var settings []setting
	add := func(name string, set func(c *Config, path string)) error {
		path, err := doc.optional(name)
		if err != nil || path == "" {
			return err
		}
		if !filepath.IsAbs(path) {
			return doc.members[name].errorf("%q is not an absolute path", path)
		}
		path = filepath.Clean(path)
		settings = append(settings, setting{"the path " + name, doc.members[name], func(c *Config) { set(c, path) }})
		return nil
	}
	if err := add("data", func(c *Config, path string) { c.Paths.Data = path }); err != nil {
		return nil, err
	}
	err := add("stage1-images", func(c *Config, path string) { c.Paths.Stage1Images = path })
	return settings, err
}

func parseStage1(doc *value) ([]setting, error) {
	if err := doc.only(fieldVersion, fieldKind, "name", "version", "location"); err != nil {
		return nil, err
	}
	name, nameErr := doc.optional("name")
	version, versionErr := doc.optional("version")
	location, locationErr := doc.optional("location")
	for _, err := range []error{nameErr, versionErr, locationErr} {
		if err != nil {
			return nil, err
		}
	}
	var settings []setting
	switch {
	case name == "" && version != "":
		return nil, doc.members["version"].errorf("there is a version, but no name")
	case name != "" && version == "":
		return nil, doc.members["name"].errorf("there is a name, but no version")
	case name != "":
		if _, err := appc.NewACIdentifier(name); err != nil {
			return nil, doc.members["name"].errorf("%w", err)
		}
		settings = append(settings, setting{"the name and version of the stage1 image", doc.members["name"], func(c *Config) {
			c.Stage1.Name, c.Stage1.Version = name, version
		}})
	}
	if location != "" {
		if err := checkLocation(doc.members["location"]); err != nil {
			return nil, err
		}
		settings = append(settings, setting{"the location of the stage1 image", doc.members["location"], func(c *Config) {
			c.Stage1.Location = location
		}})
	}
	return settings, nil
}

func parseIsolation(doc *value) ([]setting, error) {
	if err := doc.only(fieldVersion, fieldKind, "require"); err != nil {
		return nil, err
	}
	word, err := doc.string("require")
	if err != nil {
		return nil, err
	}
	wanted, err := stage1.ParseIsolation(word)
	if err != nil {
		return nil, doc.members["require"].errorf("%w", err)
	}
	return []setting{{"the required isolation", doc.members["require"], func(c *Config) {
		c.Stage1.RequireIsolation = wanted
	}}}, nil
}

func parseImages(doc *value) ([]setting, error) {
	if err := doc.only(fieldVersion, fieldKind, fieldMaxSize); err != nil {
		return nil, err
	}
	text, err := doc.string(fieldMaxSize)
	if err != nil {
		return nil, err
	}
	at := doc.members[fieldMaxSize]
	size, err := appc.ParseQuantity(text)
	switch {
	case err != nil:
		return nil, at.errorf("%w", err)
	case size.Value() == 0:
		return nil, at.errorf("must be more than nothing")
	}
	return []setting{{"how large images may be", at, func(c *Config) { c.Images.MaxSize = size.Value() }}}, nil
}

func checkLocation(v *value) error {
	if filepath.IsAbs(v.text) {
		return nil
	}
	u, err := url.Parse(v.text)
	if err != nil || u.Scheme == "" {
		return v.errorf("default stage1 image location is either a relative path or a URL without scheme: %s", harmless(v.text))
	}
	if !slices.Contains([]string{"file", "http", "https", "docker"}, u.Scheme) {
		return v.errorf("%s has the unknown scheme %q, must be file, http, https or docker", harmless(v.text), u.Scheme)
	}
	return nil
}
