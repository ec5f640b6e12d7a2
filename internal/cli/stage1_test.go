package cli

import (
	"archive/tar"
	"os"
	"path/filepath"
	"testing"
)

func TestCheckProgram(t *testing.T) {
	t.Parallel()
	entries := archiveEntries{
		"stage1":    {Typeflag: tar.TypeReg, Mode: 0o755},
		"run":       {Typeflag: tar.TypeSymlink, Linkname: "stage1"},
		"stop":      {Typeflag: tar.TypeLink, Linkname: "run"},
		"app/add":   {Typeflag: tar.TypeSymlink, Linkname: "../stage1"},
		"absolute":  {Typeflag: tar.TypeSymlink, Linkname: "/stage1"},
		"out":       {Typeflag: tar.TypeSymlink, Linkname: "../../bin/sh"},
		"dangling":  {Typeflag: tar.TypeSymlink, Linkname: "nothing"},
		"loop":      {Typeflag: tar.TypeSymlink, Linkname: "loop"},
		"plain":     {Typeflag: tar.TypeReg, Mode: 0o644},
		"directory": {Typeflag: tar.TypeDir, Mode: 0o755},
	}
	for name, want := range map[string]string{
		"/stage1": "", "/run": "", "/stop": "", "app/add": "", "/../run": "",
		"/absolute":  "/absolute is a link out of the image",
		"/out":       "/out is a link out of the image",
		"/dangling":  "there is no /nothing in the image",
		"/loop":      "/loop: too many links",
		"/plain":     "/plain is not a program",
		"/directory": "/directory is not a program",
		"/missing":   "there is no /missing in the image",
	} {
		got := ""
		if err := entries.checkProgram(name); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestStage1RecordCountsForTheSameFileOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "stage1.aci")
	record := func() *stage1Record {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		return newStage1Record(dir, file, info)
	}
	write := func() {
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write()
	if id := record().load(); id != "" {
		t.Errorf("an image was remembered before any was: %q", id)
	}
	if err := record().save("an-id"); err != nil {
		t.Fatal(err)
	}
	if id := record().load(); id != "an-id" {
		t.Errorf("remembered %q", id)
	}
	write() // the same bytes, but who knows
	if id := record().load(); id != "" {
		t.Errorf("a changed file is taken for image %q", id)
	}
}
