package store_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rkt/internal/image/imagetest"
	"rkt/internal/image/store"
)

// layered returns an image that depends on others, by name.
func layered(t testing.TB, name, fields string, entries ...imagetest.Entry) []byte {
	t.Helper()
	return imagetest.ACI(t, imagetest.Manifest("example.com/"+name, "1", nil, fields), entries...)
}

// on returns the dependencies field of a manifest.
func on(names ...string) string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = fmt.Sprintf(`{"imageName":"example.com/%s"}`, name)
	}
	return `"dependencies":[` + strings.Join(list, ",") + `]`
}

// treeFiles returns the files that an image is made of: their content, and for
// further names of a file "=" and the name that sorts first. Directories that
// are empty are there with a slash.
func treeFiles(t *testing.T, s *store.Store, id string) map[string]string {
	t.Helper()
	tree, err := s.Tree(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	found, inodes := make(map[string]string), make(map[uint64]string)
	root := filepath.Join(tree.Path, "rootfs")
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		if err != nil || name == "." {
			return err
		}
		if e.IsDir() {
			if inside, err := os.ReadDir(path); err != nil || len(inside) == 0 {
				found[name+"/"] = ""
			}
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		inode := info.Sys().(*syscall.Stat_t).Ino
		if first, there := inodes[inode]; there {
			found[name] = "=" + first
			return nil
		}
		inodes[inode] = name
		b, err := os.ReadFile(path)
		found[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestDiamond has five images: top depends on left and right, those on base,
// and base on ground.
func TestDiamond(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s, dir := newStore(t)
	f, link := imagetest.File, imagetest.Hardlink
	mustImport(t, s, layered(t, "ground", `"annotations":[]`, f("rootfs/ground", "ground"), f("rootfs/all", "ground"),
		f("rootfs/base-wins", "ground"), f("rootfs/dir/in", "ground"), imagetest.Dir("rootfs/was-dir/x")), store.Origin{})
	mustImport(t, s, layered(t, "base", on("ground"), f("rootfs/base", "base"), f("rootfs/all", "base"), f("rootfs/base-wins", "base"),
		f("rootfs/left-wins", "base"), f("rootfs/linked", "base"), link("rootfs/link", "rootfs/linked")), store.Origin{})
	mustImport(t, s, layered(t, "left", on("base"), f("rootfs/left", "left"), f("rootfs/all", "left"),
		f("rootfs/left-wins", "left"), f("rootfs/right-wins", "left"), f("rootfs/was-dir", "left")), store.Origin{})
	mustImport(t, s, layered(t, "right", on("base"), f("rootfs/right", "right"), f("rootfs/all", "right"),
		f("rootfs/right-wins", "right")), store.Origin{})
	top := mustImport(t, s, imagetest.Gzip(t, layered(t, "top", on("left", "right"), f("rootfs/top", "top"), f("rootfs/all", "top"),
		f("rootfs/linked", "top"), link("rootfs/dir/top", "rootfs/top"))), store.Origin{})
	want := map[string]string{
		"ground": "ground", "base": "base", "left": "left", "right": "right", "all": "top", "base-wins": "base",
		"left-wins":  "left", // base is below left, and there once
		"right-wins": "right", "was-dir": "left", "dir/in": "ground", "linked": "top", "link": "base", "dir/top": "top", "top": "=dir/top",
	}
	if diff := cmp.Diff(want, treeFiles(t, s, top.ID)); diff != "" {
		t.Error(diff)
	}
	first := mustDisk(t, s, top.ID, store.CheckedByHash)
	mustDisk(t, s, top.ID, store.CheckedByRecord)
	if img, err := s.Get(top.ID); err != nil || img.Size <= top.Size {
		t.Errorf("the size %d does not count the disk: %v", img.Size, err)
	}

	// A later base makes another disk, and the old one stays as it is.
	mustImport(t, s, layered(t, "base", on("ground"), f("rootfs/base", "new")), store.Origin{})
	if d := mustDisk(t, s, top.ID, store.CheckedByHash); d.ID == first.ID {
		t.Error("a new dependency makes the same disk")
	}
	if _, err := os.Stat(first.Path); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "cas/*/.tmp-*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestDependencyWhitelists(t *testing.T) {
	t.Parallel()
	needRoot(t)
	f := imagetest.File
	base := []imagetest.Entry{f("rootfs/a", "base"), f("rootfs/b", "base"), f("rootfs/c", "base"), imagetest.Hardlink("rootfs/h", "rootfs/a"), f("rootfs/d/e", "base")}
	for desc, tc := range map[string]struct {
		base, left, right, top string // whitelists
		want                   map[string]string
	}{
		"none": {want: map[string]string{"a": "base", "b": "base", "c": "base", "h": "=a", "d/e": "base", "left": "left", "right": "right"}},
		"top":  {top: "/b,/left,/new/dir/", want: map[string]string{"b": "base", "left": "left", "new/dir/": ""}},
		// What left leaves out right lets in.
		"left":           {left: "/a,/left", want: map[string]string{"a": "base", "b": "base", "c": "base", "h": "=a", "d/e": "base", "left": "left", "right": "right"}},
		"left and right": {left: "/a,/left", right: "/b,/d/", want: map[string]string{"a": "base", "b": "base", "d/": "", "left": "left"}},
		"base":           {base: "/h", want: map[string]string{"h": "base", "left": "left", "right": "right"}},
		// A whitelist is complete: it is over those of the dependencies.
		"top over base": {base: "/a,/b", top: "/b,/c", want: map[string]string{"b": "base"}},
	} {
		s, _ := newStore(t)
		mustImport(t, s, layered(t, "base", list(tc.base), base...), store.Origin{})
		mustImport(t, s, layered(t, "left", on("base")+","+list(tc.left), f("rootfs/left", "left")), store.Origin{})
		mustImport(t, s, layered(t, "right", on("base")+","+list(tc.right), f("rootfs/right", "right")), store.Origin{})
		top := mustImport(t, s, layered(t, "top", on("left", "right")+","+list(tc.top)), store.Origin{})
		if diff := cmp.Diff(tc.want, treeFiles(t, s, top.ID)); diff != "" {
			t.Errorf("%s: %s", desc, diff)
		}
		mustDisk(t, s, top.ID, store.CheckedByHash)
	}
}

func list(paths string) string {
	if paths == "" {
		return `"pathWhitelist":[]`
	}
	return `"pathWhitelist":["` + strings.ReplaceAll(paths, ",", `","`) + `"]`
}

func TestDependencyRefused(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	base := mustImport(t, s, layered(t, "base", `"annotations":[]`), store.Origin{})
	mustImport(t, s, layered(t, "loop1", on("loop2")), store.Origin{})
	mustImport(t, s, layered(t, "loop2", on("loop1")), store.Origin{})
	for i := range store.MaxDependencyDepth {
		mustImport(t, s, layered(t, fmt.Sprintf("deep%d", i+1), on(fmt.Sprintf("deep%d", i))), store.Origin{})
	}
	mustImport(t, s, layered(t, "deep0", `"annotations":[]`), store.Origin{})
	other := "sha512-" + strings.Repeat("0", 64)
	for desc, tc := range map[string]struct {
		field string
		class error
		want  string
	}{
		"missing":         {on("nobody"), store.ErrNotFound, `image "example.com/t": dependency "example.com/nobody": no image IDs found`},
		"missing version": {`"dependencies":[{"imageName":"example.com/base","labels":[{"name":"version","value":"2"}]}]`, store.ErrNotFound, `dependency "example.com/base,version=2"`},
		"missing id":      {`"dependencies":[{"imageName":"example.com/base","imageID":"` + other + `"}]`, store.ErrNotFound, other},
		"other name":      {`"dependencies":[{"imageName":"example.com/x","imageID":"` + base.ID + `"}]`, store.ErrMismatch, `the image with this id is "example.com/base"`},
		"other size":      {`"dependencies":[{"imageName":"example.com/base","size":17}]`, store.ErrMismatch, "instead of 17"},
		"itself":          {on("t"), store.ErrCycle, "example.com/t → example.com/t"},
		"cycle":           {on("base", "loop1"), store.ErrCycle, "example.com/loop1 → example.com/loop2 → example.com/loop1"},
		"deep":            {on(fmt.Sprintf("deep%d", store.MaxDependencyDepth-1)), store.ErrTooDeep, "more than 32 images lie one below the other"},
	} {
		img := mustImport(t, s, layered(t, "t", tc.field), store.Origin{})
		_, err := s.Disk(context.Background(), img.ID)
		if !errors.Is(err, tc.class) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q", desc, err, tc.want)
		}
		if err := s.Remove(img.ID); err != nil {
			t.Fatal(err)
		}
	}
	mustDisk(t, s, mustImport(t, s, layered(t, "t", on(fmt.Sprintf("deep%d", store.MaxDependencyDepth-2))), store.Origin{}).ID, store.CheckedByHash)
}

func TestDependencyMatching(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	plain := layered(t, "base", `"annotations":[]`, imagetest.File("rootfs/f", "1"))
	base := mustImport(t, s, imagetest.Gzip(t, plain), store.Origin{})
	foreign := strings.Replace(imagetest.Manifest("example.com/base", "9", nil), "amd64", "aarch64", 1)
	mustImport(t, s, imagetest.ACI(t, foreign), store.Origin{}) // imported later, but for another machine
	for desc, field := range map[string]string{
		"name":              on("base"),
		"labels":            `"dependencies":[{"imageName":"example.com/base","labels":[{"name":"version","value":"1"},{"name":"os","value":"linux"}]}]`,
		"id":                `"dependencies":[{"imageName":"example.com/base","imageID":"` + base.ID + `"}]`,
		"size uncompressed": fmt.Sprintf(`"dependencies":[{"imageName":"example.com/base","size":%d}]`, len(plain)),
		"size compressed":   fmt.Sprintf(`"dependencies":[{"imageName":"example.com/base","size":%d}]`, base.Size),
	} {
		top := mustImport(t, s, layered(t, "top", field), store.Origin{})
		found, err := s.Dependency(top.Manifest, top.Manifest.Dependencies[0])
		if err != nil || found.ID != base.ID {
			t.Errorf("%s: %v, %v", desc, found, err)
		}
		mustDisk(t, s, top.ID, store.CheckedByHash)
	}
}

// TestWideDependencies has so many ways through the whitelists that they must
// not be walked one by one.
func TestWideDependencies(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	const levels, width = 15, 8
	for level := range levels {
		var below []string
		for i := range width {
			if level > 0 {
				below = append(below, fmt.Sprintf("l%d-%d", level-1, i))
			}
		}
		for i := range width {
			b := layered(t, fmt.Sprintf("l%d-%d", level, i), on(below...)+`,"pathWhitelist":["/nothing"]`, imagetest.File("rootfs/f", "x"))
			mustImport(t, s, b, store.Origin{})
		}
	}
	top := mustImport(t, s, layered(t, "top", on(fmt.Sprintf("l%d-0", levels-1))), store.Origin{})
	mustDisk(t, s, top.ID, store.CheckedByHash)
}
