package main

import (
	"encoding/json"
	"fmt"
	"strconv"

	"rkt/internal/appc"
	"rkt/internal/stage1"
)

const (
	// imagePrefix begins the images' names; the flavour ends them.
	imagePrefix = "coreos.com/rkt/stage1-"
	// programName is the entry points' program inside the image.
	programName = "stage1"
)

// entryPoint is one command of the contract and where it is in the image.
type entryPoint struct {
	annotation appc.ACIdentifier
	path       string
}

// manifest returns an image's manifest, as rkt would accept it.
func (f flavor) manifest(name string, a arch, version string) ([]byte, error) {
	m := appc.ImageManifest{
		ACKind:    appc.ImageManifestKind,
		ACVersion: appc.SpecVersion,
		Name:      appc.ACIdentifier(name),
		Labels: appc.Labels{
			{Name: "version", Value: version}, {Name: "os", Value: "linux"}, {Name: "arch", Value: a.label},
		},
	}
	for _, e := range f.entryPoints {
		m.Annotations = append(m.Annotations, appc.Annotation{Name: e.annotation, Value: e.path})
	}
	m.Annotations = append(m.Annotations,
		appc.Annotation{Name: stage1.AnnotationInterfaceVersion, Value: strconv.Itoa(stage1.InterfaceVersion)},
		appc.Annotation{Name: stage1.AnnotationAppFormat, Value: f.appFormat})
	if f.isolation != "" {
		m.Annotations = append(m.Annotations, appc.Annotation{Name: stage1.AnnotationIsolation, Value: string(f.isolation)})
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if _, err := appc.ParseImageManifest(b); err != nil {
		return nil, fmt.Errorf("make the image's manifest: %w", err)
	}
	return b, nil
}
