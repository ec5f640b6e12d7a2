package config

import (
	"maps"
	"slices"
	"strconv"
)

// Documents returns the configuration as documents that could be in files: one
// for each server and each registry, sorted by name, one for the paths and one
// for the stage1 image. They are meant to be marshalled to JSON, secrets
// included.
func (c *Config) Documents() []any {
	var documents []any
	for _, host := range slices.Sorted(maps.Keys(c.Auth)) {
		auth := c.Auth[host]
		documents = append(documents, authDocument{head{version1, kindAuth}, []string{host}, auth.Type, auth.credentials()})
	}
	for _, registry := range slices.Sorted(maps.Keys(c.DockerAuth)) {
		auth := c.DockerAuth[registry]
		documents = append(documents, dockerAuthDocument{
			head{version1, kindDockerAuth}, []string{registry}, basicCredentials{auth.User, auth.Password.Reveal()},
		})
	}
	documents = append(documents,
		pathsDocument{head{version1, kindPaths}, c.Paths.Data, c.Paths.Stage1Images},
		stage1Document{head{version1, kindStage1}, c.Stage1.Name, c.Stage1.Version, c.Stage1.Location})
	if c.Stage1.RequireIsolation != "" {
		documents = append(documents, isolationDocument{head{version1, kindIsolation}, string(c.Stage1.RequireIsolation)})
	}
	if c.Images.MaxSize != 0 {
		documents = append(documents, imagesDocument{head{version1, kindImages}, strconv.FormatInt(c.Images.MaxSize, 10)})
	}
	return documents
}

// head is what every document begins with.
type head struct {
	Version string `json:"rktVersion"`
	Kind    string `json:"rktKind"`
}

type authDocument struct {
	head
	Domains     []string `json:"domains"`
	Type        string   `json:"type"`
	Credentials any      `json:"credentials"`
}

type dockerAuthDocument struct {
	head
	Registries  []string         `json:"registries"`
	Credentials basicCredentials `json:"credentials"`
}

type pathsDocument struct {
	head
	Data         string `json:"data"`
	Stage1Images string `json:"stage1-images"`
}

type stage1Document struct {
	head
	Name     string `json:"name"`
	Version  string `json:"version"`
	Location string `json:"location"`
}

type isolationDocument struct {
	head
	Require string `json:"require"`
}

type imagesDocument struct {
	head
	MaxSize string `json:"maxSize"`
}

type basicCredentials struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

type oauthCredentials struct {
	Token string `json:"token"`
}

type awsCredentials struct {
	AccessKeyID     string `json:"accessKeyID"`
	SecretAccessKey string `json:"secretAccessKey"`
	Region          string `json:"awsRegion,omitempty"`
}

func (a Auth) credentials() any {
	switch a.Type {
	case AuthBasic:
		return basicCredentials{a.User, a.Password.Reveal()}
	case AuthOAuth:
		return oauthCredentials{a.Token.Reveal()}
	default:
		return awsCredentials{a.AccessKeyID, a.SecretAccessKey.Reveal(), a.Region}
	}
}
