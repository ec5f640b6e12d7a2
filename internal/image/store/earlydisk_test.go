package store_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rkt/internal/image/imagetest"
	"rkt/internal/image/store"
)

// rendered returns the names of the disks below dir, finished or not.
func rendered(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "cas/disk"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestEarlyDisk shows that the disk that is made on the way is the one that would
// have been made later.
func TestEarlyDisk(t *testing.T) {
	t.Parallel()
	s, dir := newStore(t)
	b := imagetest.Gzip(t, image(t, "example.com/a", "1.0", imagetest.File("rootfs/large", strings.Repeat("0123456789abcdef", 1<<18))))
	img := mustImport(t, s, b, store.Origin{Render: true})
	early := mustDisk(t, s, img.ID, store.CheckedByRecord)

	other, _ := newStore(t)
	late := mustDisk(t, other, mustImport(t, other, b, store.Origin{}).ID, store.CheckedByHash)
	if early.ID != late.ID || early.SHA256 != late.SHA256 || early.Seal != late.Seal {
		t.Errorf("early %+v, late %+v", early, late)
	}

	mustImport(t, s, b, store.Origin{Render: true})
	if names := rendered(t, dir); len(names) != 1 {
		t.Errorf("after the second time there is %q", names)
	}
	again := mustDisk(t, s, img.ID, store.CheckedByRecord)
	if info, err := os.Stat(again.Path); err != nil || info.Size() != early.Size {
		t.Errorf("%v, %v", info, err)
	}
	if err := patch(early.Path, 5000); err != nil {
		t.Fatal(err)
	}
	mustImport(t, s, b, store.Origin{Render: true}) // makes the disk good, too
	mustDisk(t, s, img.ID, store.CheckedByRecord)
}

// TestNoEarlyDisk shows that nothing is left of a disk that cannot be made on
// the way, and that the image is none the worse for it.
func TestNoEarlyDisk(t *testing.T) {
	t.Parallel()
	base := image(t, "example.com/base", "1.0")
	manifest := func(fields ...string) string {
		return imagetest.Manifest("example.com/a", "1.0", []string{"/bin/app"}, fields...)
	}
	app := imagetest.Program("rootfs/bin/app", "first")
	for name, b := range map[string][]byte{
		"dependencies": imagetest.ACI(t, manifest(`"dependencies":[{"imageName":"example.com/base"}]`), app),
		"a whitelist":  imagetest.ACI(t, manifest(`"pathWhitelist":["/bin/app"]`), app),
		"duplicates":   imagetest.ACI(t, manifest(), app, imagetest.Program("rootfs/bin/app", "second")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dir := newStore(t)
			mustImport(t, s, base, store.Origin{})
			img := mustImport(t, s, b, store.Origin{Render: true})
			if names := rendered(t, dir); names != nil {
				t.Errorf("there is %q", names)
			}
			mustDisk(t, s, img.ID, store.CheckedByHash)
		})
	}

	s, dir := newStore(t)
	img := mustImport(t, s, imagetest.ACI(t, manifest(), app, imagetest.File("rootfs/proc", "")), store.Origin{Render: true})
	if _, err := s.Disk(context.Background(), img.ID); err == nil || !strings.Contains(err.Error(), `"/proc" is not a directory`) {
		t.Errorf("what cannot be rendered: %v", err)
	}
	whole := imagetest.ACI(t, manifest(), app)
	for name, b := range map[string][]byte{
		"truncated":     whole[:len(whole)-1024],
		"hostile entry": imagetest.ACI(t, manifest(), app, imagetest.File("rootfs/../x", "")),
		"cut in a file": whole[:len(whole)-1024-100],
	} {
		if _, err := importImage(s, b, store.Origin{Render: true}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if names := rendered(t, dir); names != nil {
		t.Errorf("left: %q", names)
	}
}
