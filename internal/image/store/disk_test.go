package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rkt/internal/image/imagetest"
	"rkt/internal/image/store"
)

func mustDisk(t testing.TB, s *store.Store, id, checked string) store.Disk {
	t.Helper()
	d, err := s.Disk(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	if hex.EncodeToString(sum[:]) != d.SHA256 || int64(len(b)) != d.Size || d.Filesystem != "ext4" || !filepath.IsAbs(d.Path) {
		t.Errorf("%+v is not what is there", d)
	}
	if d.Checked != checked {
		t.Errorf("checked by %q, want %q", d.Checked, checked)
	}
	return d
}

// TestDisk follows a disk through what may happen to its file.
func TestDisk(t *testing.T) {
	t.Parallel()
	s, dir := newStore(t)
	img := mustImport(t, s, imagetest.Gzip(t, image(t, "example.com/a", "1.0")), store.Origin{})
	first := mustDisk(t, s, img.ID, store.CheckedByHash)
	second := mustDisk(t, s, img.ID, store.CheckedByRecord)
	if first.ID != second.ID || first.SHA256 != second.SHA256 || !strings.HasPrefix(first.ID, "deps-sha512-") {
		t.Errorf("%+v and %+v", first, second)
	}
	if info, err := os.Stat(filepath.Join(dir, "cas/disk")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the disks can be reached: %v, %v", info.Mode(), err)
	}
	if again, err := s.Get(img.ID); err != nil || again.Size <= img.Size {
		t.Errorf("the size %d does not count the disk: %v", again.Size, err)
	}

	now := time.Now()
	if err := os.Chtimes(first.Path, now, now); err != nil {
		t.Fatal(err)
	}
	mustDisk(t, s, img.ID, store.CheckedByHash) // touched, but the same
	mustDisk(t, s, img.ID, store.CheckedByRecord)

	for desc, damage := range map[string]func(path string) error{
		"a flipped bit": func(path string) error { return patch(path, 5000) },
		"a flipped bit, times restored": func(path string) error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			if err := patch(path, 5000); err != nil {
				return err
			}
			return os.Chtimes(path, info.ModTime(), info.ModTime())
		},
		"truncated":      func(path string) error { return os.Truncate(path, 4096) },
		"removed":        os.Remove,
		"record removed": func(path string) error { return os.Remove(filepath.Join(filepath.Dir(path), "record.json")) },
		"record damaged": func(path string) error {
			return os.WriteFile(filepath.Join(filepath.Dir(path), "record.json"), []byte("{"), 0o600)
		},
		"directory removed": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
	} {
		if err := damage(first.Path); err != nil {
			t.Fatal(err)
		}
		if d := mustDisk(t, s, img.ID, store.CheckedByHash); d.SHA256 != first.SHA256 {
			t.Errorf("%s: another disk was rendered", desc)
		}
		mustDisk(t, s, img.ID, store.CheckedByRecord)
		if entries, err := os.ReadDir(filepath.Join(dir, "cas/disk")); len(entries) != 1 || err != nil {
			t.Errorf("%s: left: %v, %v", desc, entries, err)
		}
	}
}

// patch flips a bit of a file.
func patch(path string, offset int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, offset); err != nil {
		return err
	}
	b[0] ^= 1
	_, err = f.WriteAt(b, offset)
	return err
}

// TestDamagedBlob shows that nothing is made of an archive that has changed
// since it was imported.
func TestDamagedBlob(t *testing.T) {
	t.Parallel()
	s, dir := newStore(t)
	plain := image(t, "example.com/a", "1.0", imagetest.File("rootfs/f", strings.Repeat("x", 5000)))
	for _, b := range [][]byte{plain, imagetest.Gzip(t, plain)} {
		img := mustImport(t, s, b, store.Origin{})
		blob := filepath.Join(dir, "cas/blob/sha512", img.ID[7:9], img.ID)
		for offset := int64(10); offset < int64(len(b)); offset += int64(len(b)) / 13 {
			if err := patch(blob, offset); err != nil {
				t.Fatal(err)
			}
			for what, err := range map[string]error{
				"disk": second(s.Disk(context.Background(), img.ID)), "tree": second(s.Tree(context.Background(), img.ID)),
			} {
				if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), img.ID) {
					t.Errorf("%s, offset %d: %v", what, offset, err)
				}
			}
			if err := patch(blob, offset); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range files(t, dir) {
			if strings.HasPrefix(name, "cas/disk") || strings.HasPrefix(name, "cas/tree") {
				t.Errorf("left: %s", name)
			}
		}
		if err := s.Remove(img.ID); err != nil {
			t.Fatal(err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestNotRenderable(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	img := mustImport(t, s, image(t, "example.com/c", "1", imagetest.File("rootfs/proc", "")), store.Origin{})
	if _, err := s.Disk(context.Background(), img.ID); err == nil || !strings.Contains(err.Error(), `"/proc" is not a directory`) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Disk(context.Background(), "sha512-"+strings.Repeat("0", 64)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	img = mustImport(t, s, image(t, "example.com/d", "1"), store.Origin{})
	if _, err := s.Disk(canceled, img.ID); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestWhitelistAndDuplicates(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	manifest := imagetest.Manifest("example.com/a", "1", nil, `"pathWhitelist":["/a"]`)
	img := mustImport(t, s, imagetest.ACI(t, manifest, imagetest.File("rootfs/a", "one"), imagetest.File("rootfs/b", "NEEDLE")), store.Origin{})
	d := mustDisk(t, s, img.ID, store.CheckedByHash)
	if b, err := os.ReadFile(d.Path); err != nil || strings.Contains(string(b), "NEEDLE") || !strings.Contains(string(b), "one") {
		t.Errorf("the whitelist was not applied: %v", err)
	}
	img = mustImport(t, s, image(t, "example.com/b", "1", imagetest.File("rootfs/a", "first"), imagetest.File("rootfs/a", "second")), store.Origin{})
	d = mustDisk(t, s, img.ID, store.CheckedByHash)
	if b, err := os.ReadFile(d.Path); err != nil || strings.Contains(string(b), "first") || !strings.Contains(string(b), "second") {
		t.Errorf("the later file should count: %v", err)
	}
}
