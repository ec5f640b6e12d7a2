package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rkt/internal/appc"
	"rkt/internal/stage1"
)

func TestImageManifest(t *testing.T) {
	t.Parallel()
	a, err := findArch("amd64")
	if err != nil {
		t.Fatal(err)
	}
	f, err := findFlavor(flavorKVM, hypervisorQEMU)
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.manifest(f.name, a, "2.0.0")
	if err != nil {
		t.Fatal(err)
	}
	m, err := appc.ParseImageManifest(b)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		stage1.AnnotationRun: "/run", stage1.AnnotationStop: "/stop", stage1.AnnotationGC: "/gc",
		stage1.AnnotationInterfaceVersion: "7", stage1.AnnotationAppFormat: "disk",
	} {
		if got, ok := m.Annotations.Get(name); !ok || got != want {
			t.Errorf("annotation %s = %q, want %q", name, got, want)
		}
	}
}

func TestFindArchRefuses(t *testing.T) {
	t.Parallel()
	_, err := findArch("arm64")
	if err == nil || !strings.Contains(err.Error(), "arm64 is not there yet") {
		t.Errorf("got %v", err)
	}
}

// TestCutZeros makes sure that what is cut off a disk is only what reads as
// zeros afterwards as well.
func TestCutZeros(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "disk")
	content := append(make([]byte, 1<<20), 'x')
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 1<<30); err != nil {
		t.Fatal(err)
	}
	if err := cutZeros(name); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	rest := strings.TrimRight(string(got[len(content):]), "\x00")
	if len(got) > len(content)+1<<16 || string(got[:len(content)]) != string(content) || rest != "" {
		t.Errorf("left %d bytes of a disk with %d", len(got), len(content))
	}
}

func TestBuildNeedsItsOptions(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		nil,
		{"build"},
		{"check"},
		{"check", "a", "b"},
		{"other"},
		{"build", "-version", "1", "-stage1", "s", "-agent", "a", "-init", "i", "-out", "o"},
		{"build", "-version", "1", "-stage1", "s", "-kernel", "k", "-out", "o"},
		{"build", "-version", "1", "-stage1", "s", "-kernel", "k", "-agent", "a", "-out", "o"},
		{"build", "-flavor", "xen", "-version", "1", "-stage1", "s", "-out", "o"},
		{"build", "-hypervisor", "xen", "-version", "1", "-kernel", "k", "-stage1", "s", "-agent", "a", "-init", "i", "-out", "o"},
		{"build", "-version", "1", "-kernel", "k", "-stage1", "s", "-agent", "a", "-init", "i"},
		{"build", "-version", "1", "-kernel", "k", "-stage1", "s", "-agent", "a", "-init", "i", "-out", "o", "-dir", "d"},
	} {
		if err := run(t.Context(), args); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}
