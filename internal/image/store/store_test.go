package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rkt/internal/appc"
	"rkt/internal/image/archive"
	"rkt/internal/image/imagetest"
	"rkt/internal/image/store"
)

func open(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.OpenWith(dir, store.Options{Reserve: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newStore(t testing.TB) (*store.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	return open(t, dir), dir
}

// image returns an image of the given name and version.
func image(t testing.TB, name, version string, entries ...imagetest.Entry) []byte {
	t.Helper()
	return imagetest.ACI(t, imagetest.Manifest(name, version, []string{"/bin/app"}),
		append(entries, imagetest.Program("rootfs/bin/app", name+version))...)
}

func importImage(s *store.Store, b []byte, origin store.Origin) (*store.Image, error) {
	in, err := s.NewIncoming()
	if err != nil {
		return nil, err
	}
	defer in.Discard()
	if _, err := in.Write(b); err != nil {
		return nil, err
	}
	if origin.Name == "" {
		m, err := in.Manifest(context.Background())
		if err != nil {
			return nil, err
		}
		origin.Name = m.Name
	}
	return s.Import(context.Background(), in, origin)
}

func mustImport(t testing.TB, s *store.Store, b []byte, origin store.Origin) *store.Image {
	t.Helper()
	img, err := importImage(s, b, origin)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// files returns all files below dir, except directories.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() || err == nil && strings.HasPrefix(e.Name(), ".tmp-") {
			rel, _ := filepath.Rel(dir, path)
			found = append(found, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestImport(t *testing.T) {
	t.Parallel()
	s, dir := newStore(t)
	b := imagetest.Gzip(t, image(t, "example.com/a", "1.0"))
	before := time.Now().Add(-time.Second)
	img := mustImport(t, s, b, store.Origin{Signature: []byte("sig"), SignedBy: "abcd"})
	if img.ImportTime.Before(before) || img.LastUsed.Before(before) || img.Size != int64(len(b)) || img.SignedBy != "abcd" {
		t.Errorf("%+v", img)
	}
	if want := imagetest.Manifest("example.com/a", "1.0", []string{"/bin/app"}); string(img.ManifestJSON) != want {
		t.Errorf("manifest\n%s\nwant\n%s", img.ManifestJSON, want)
	}
	xx := img.ID[7:9]
	want := []string{
		"cas/blob/sha512/" + xx + "/" + img.ID, "cas/blob/sha512/" + xx + "/" + img.ID + ".asc",
		"cas/imageManifest/sha512/" + xx + "/" + img.ID, "cas/index/" + img.ID,
	}
	if diff := cmp.Diff(want, files(t, dir)); diff != "" {
		t.Error(diff)
	}
	stored, err := os.ReadFile(filepath.Join(dir, want[0]))
	if err != nil || !bytes.Equal(stored, b) {
		t.Errorf("the archive is not stored as it came: %v", err)
	}
	if err := s.Remove(img.ID); err != nil {
		t.Fatal(err)
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if err := s.Remove(img.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("removed again: %v", err)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	s, dir := newStore(t)
	good := image(t, "example.com/a", "1.0")
	for desc, tc := range map[string]struct {
		b      []byte
		origin store.Origin
		want   string
	}{
		"truncated":      {good[:len(good)-3000], store.Origin{}, "it is truncated"},
		"other name":     {good, store.Origin{Name: "example.com/b"}, `its name is "example.com/a" instead of "example.com/b"`},
		"bad manifest":   {imagetest.ACI(t, `{"acKind":"PodManifest"}`), store.Origin{}, "acKind"},
		"escape":         {image(t, "a", "1", imagetest.File("rootfs/../x", "")), store.Origin{}, `has a ".."`},
		"garbage behind": {append(imagetest.Gzip(t, good), "x"...), store.Origin{}, "invalid image archive"},
	} {
		if _, err := importImage(s, tc.b, tc.origin); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", desc, err, tc.want)
		}
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	// Among so many some two begin with the same digits.
	byPrefix := make(map[string][]string)
	for i := range 40 {
		img := mustImport(t, s, image(t, "example.com/a", fmt.Sprint(i)), store.Origin{})
		byPrefix[img.ID[:9]] = append(byPrefix[img.ID[:9]], img.ID)
	}
	sawBoth := 0
	for prefix, ids := range byPrefix {
		img, err := s.Get(prefix)
		if len(ids) == 1 {
			sawBoth |= 1
			if err != nil || img.ID != ids[0] {
				t.Errorf("%s: %v", prefix, err)
			}
		} else if sawBoth |= 2; !errors.Is(err, store.ErrAmbiguous) {
			t.Errorf("%s: got %v", prefix, err)
		}
		for _, id := range ids {
			if img, err := s.Get(id + strings.Repeat("0", 64)); err != nil || img.ID != id {
				t.Errorf("a full digest: %v", err)
			}
		}
	}
	if sawBoth != 3 {
		t.Errorf("the ids do not show enough: %d", sawBoth)
	}
	for id, want := range map[string]error{
		"sha512-":                           store.ErrIDTooShort,
		"sha512-a":                          store.ErrIDTooShort,
		"sha512-" + strings.Repeat("0", 64): store.ErrNotFound,
		"sha512-zz":                         store.ErrNotFound,
		"../index":                          store.ErrNotFound,
		"":                                  store.ErrNotFound,
	} {
		if _, err := s.Get(id); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", id, err, want)
		}
	}
}

func TestFindByName(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	v1 := mustImport(t, s, image(t, "example.com/a", "1"), store.Origin{})
	v2 := mustImport(t, s, image(t, "example.com/a", "2"), store.Origin{Latest: true})
	v3 := mustImport(t, s, image(t, "example.com/a", "3"), store.Origin{})
	label := func(kv ...string) (l appc.Labels) {
		for i := 0; i < len(kv); i += 2 {
			l = append(l, appc.Label{Name: appc.ACIdentifier(kv[i]), Value: kv[i+1]})
		}
		return l
	}
	for _, tc := range []struct {
		name   string
		labels appc.Labels
		want   string
	}{
		{"example.com/a", nil, v2.ID},
		{"example.com/a", label("os", "linux"), v2.ID},
		{"example.com/a", label("version", "3", "arch", "amd64"), v3.ID},
		{"example.com/a", label("version", "1"), v1.ID},
		{"example.com/a", label("version", "4"), ""},
		{"example.com/a", label("channel", "beta"), ""},
		{"example.com", nil, ""},
	} {
		img, err := s.FindByName(appc.ACIdentifier(tc.name), tc.labels)
		if tc.want == "" && !errors.Is(err, store.ErrNotFound) || tc.want != "" && (err != nil || img.ID != tc.want) {
			t.Errorf("%s %v: %+v, %v", tc.name, tc.labels, img, err)
		}
	}
	images, damaged, err := s.List(context.Background())
	if err != nil || len(damaged) > 0 || len(images) != 3 || images[0].ID != v1.ID || images[2].ID != v3.ID {
		t.Errorf("%v, %v, %v", images, damaged, err)
	}
}

// TestImportAgain shows what happens to an image that is there already.
func TestImportAgain(t *testing.T) {
	t.Parallel()
	s, dir := newStore(t)
	plain := image(t, "example.com/a", "1.0")
	signed := mustImport(t, s, imagetest.Gzip(t, plain), store.Origin{Signature: []byte("sig"), SignedBy: "abcd"})
	unsigned := mustImport(t, s, plain, store.Origin{})
	if unsigned.ID != signed.ID || unsigned.SignedBy != "abcd" || unsigned.ImportTime.Before(signed.ImportTime) {
		t.Errorf("an unsigned copy took the place of a signed one: %+v", unsigned)
	}
	blob := filepath.Join(dir, "cas/blob/sha512", signed.ID[7:9], signed.ID)
	if err := os.WriteFile(blob, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	healed := mustImport(t, s, plain, store.Origin{})
	if b, err := os.ReadFile(blob); err != nil || !bytes.Equal(b, plain) || healed.SignedBy != "" {
		t.Errorf("a damaged copy stays: %+v, %v", healed, err)
	}
	again := mustImport(t, s, imagetest.Gzip(t, plain), store.Origin{Signature: []byte("sig"), SignedBy: "abcd"})
	if again.SignedBy != "abcd" || len(files(t, dir)) != 4 {
		t.Errorf("%+v, %v", again, files(t, dir))
	}
}

// TestConcurrently has many users of one store do everything at once. Every
// error must be a true one.
func TestConcurrently(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	b := image(t, "example.com/a", "1.0")
	var users sync.WaitGroup
	for i := range 8 {
		users.Go(func() {
			for range 10 {
				s, err := store.OpenWith(dir, store.Options{Reserve: 1})
				if err != nil {
					t.Error(err)
					return
				}
				img, err := importImage(s, b, store.Origin{})
				if err == nil && i%4 == 0 {
					err = s.Remove(img.ID)
				} else if err == nil {
					_, err = s.Disk(context.Background(), img.ID)
				}
				if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrDamaged) {
					t.Errorf("user %d: %v", i, err)
				}
			}
		})
	}
	users.Wait()
	s := open(t, dir)
	img := mustImport(t, s, b, store.Origin{})
	if _, err := s.Disk(context.Background(), img.ID); err != nil {
		t.Error(err)
	}
	for _, name := range files(t, dir) {
		if strings.Contains(name, ".tmp-") || strings.Contains(name, "locks") {
			t.Errorf("left: %s", name)
		}
	}
}

func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	s, dir := newStore(t)
	good := mustImport(t, s, image(t, "example.com/a", "1.0"), store.Origin{})
	bad := mustImport(t, s, image(t, "example.com/b", "1.0"), store.Origin{})
	worse := mustImport(t, s, image(t, "example.com/c", "1.0"), store.Origin{})
	if err := os.WriteFile(filepath.Join(dir, "cas/index", bad.ID), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "cas/imageManifest/sha512", worse.ID[7:9], worse.ID)); err != nil {
		t.Fatal(err)
	}
	images, damaged, err := s.List(context.Background())
	if err != nil || len(images) != 1 || images[0].ID != good.ID || len(damaged) != 2 {
		t.Errorf("%v, %v, %v", images, damaged, err)
	}
	for _, id := range []string{bad.ID, worse.ID} {
		if _, err := s.Get(id); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), id) {
			t.Errorf("got %v", err)
		}
		if err := s.Remove(id); err != nil {
			t.Errorf("a damaged image cannot be removed: %v", err)
		}
	}
}

func TestNoSpace(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	s, err := store.OpenWith(dir, store.Options{Reserve: 1 << 60})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := importImage(s, image(t, "example.com/a", "1.0"), store.Origin{}); !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("got %v", err)
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	limited, err := store.OpenWith(dir, store.Options{Reserve: 1, MaxSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	big := imagetest.Gzip(t, image(t, "example.com/a", "1.0", imagetest.File("rootfs/z", strings.Repeat("\x00", 1<<20))))
	if _, err := importImage(limited, big, store.Origin{}); !errors.Is(err, archive.ErrTooLarge) || errors.Is(err, store.ErrNoSpace) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkList(b *testing.B) {
	s, _ := newStore(b)
	for i := range 1000 {
		mustImport(b, s, image(b, fmt.Sprintf("example.com/a%d", i), "1.0"), store.Origin{})
	}
	for b.Loop() {
		if images, _, err := s.List(context.Background()); err != nil || len(images) != 1000 {
			b.Fatal(len(images), err)
		}
	}
}
