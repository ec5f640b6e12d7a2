package main

import (
	"encoding/json"
	"fmt"
	"strconv"

	"rkt/internal/appc"
	"rkt/internal/stage1"
)

const (
	imageName = "coreos.com/rkt/stage1-kvm"
	// programName is the entry points' program inside the image.
	programName = "stage1"
)

// entryPoint is one command of the contract and where it is in the image.
type entryPoint struct {
	annotation appc.ACIdentifier
	path       string
}

// entryPoints returns what the image can be asked to do.
func entryPoints() []entryPoint {
	return []entryPoint{
		{stage1.AnnotationRun, "/run"},
		{stage1.AnnotationStop, "/stop"},
		{stage1.AnnotationGC, "/gc"},
	}
}

// imageManifest returns the image's manifest, as rkt would accept it.
func imageManifest(a arch, version string) ([]byte, error) {
	m := appc.ImageManifest{
		ACKind:    appc.ImageManifestKind,
		ACVersion: appc.SpecVersion,
		Name:      imageName,
		Labels: appc.Labels{
			{Name: "version", Value: version}, {Name: "os", Value: "linux"}, {Name: "arch", Value: a.label},
		},
	}
	for _, e := range entryPoints() {
		m.Annotations = append(m.Annotations, appc.Annotation{Name: e.annotation, Value: e.path})
	}
	m.Annotations = append(m.Annotations,
		appc.Annotation{Name: stage1.AnnotationInterfaceVersion, Value: strconv.Itoa(stage1.InterfaceVersion)},
		appc.Annotation{Name: stage1.AnnotationAppFormat, Value: stage1.AppFormatDisk})
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if _, err := appc.ParseImageManifest(b); err != nil {
		return nil, fmt.Errorf("make the image's manifest: %w", err)
	}
	return b, nil
}
