package main

import (
	"encoding/json"
	"strconv"

	"rkt/internal/stage1"
)

const (
	imageName = "coreos.com/rkt/stage1-kvm"
	acVersion = "0.8.11"
	// programName is the entry points' program inside the image.
	programName = "stage1"
)

// entryPoint is one command of the contract and where it is in the image.
type entryPoint struct {
	annotation, path string
}

// entryPoints returns what the image can be asked to do.
func entryPoints() []entryPoint {
	return []entryPoint{
		{stage1.AnnotationRun, "/run"},
		{stage1.AnnotationStop, "/stop"},
		{stage1.AnnotationGC, "/gc"},
	}
}

// pair is a label or an annotation.
type pair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// imageManifest returns the image's manifest.
func imageManifest(a arch, version string) ([]byte, error) {
	annotations := make([]pair, 0, 5)
	for _, e := range entryPoints() {
		annotations = append(annotations, pair{e.annotation, e.path})
	}
	annotations = append(annotations,
		pair{stage1.AnnotationInterfaceVersion, strconv.Itoa(stage1.InterfaceVersion)},
		pair{stage1.AnnotationAppFormat, stage1.AppFormatDisk})
	m := struct {
		Kind        string `json:"acKind"`
		Version     string `json:"acVersion"`
		Name        string `json:"name"`
		Labels      []pair `json:"labels"`
		Annotations []pair `json:"annotations"`
	}{
		Kind:        "ImageManifest",
		Version:     acVersion,
		Name:        imageName,
		Labels:      []pair{{"version", version}, {"os", "linux"}, {"arch", a.label}},
		Annotations: annotations,
	}
	return json.Marshal(m)
}
