package vm

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"rkt/internal/image/imagetest"
	"rkt/test/probe/report"
)

// filesOf returns what the probe in an app found, by path.
func filesOf(t *testing.T, out, app string) map[string]report.File {
	t.Helper()
	found := make(map[string]report.File)
	for _, text := range texts(t, out, app) {
		var list []report.File
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		for _, f := range list {
			found[string(f.Path)] = f
		}
	}
	return found
}

// dependent returns an image for this kind of host that depends on others and
// whose whitelist leaves only some paths, unless there are none.
func dependent(t *testing.T, name string, on, whitelist []string, entries ...imagetest.Entry) []byte {
	t.Helper()
	m := manifest(name, nil)
	if name != topName {
		delete(m, "app")
	}
	var dependencies []fields
	for _, image := range on {
		dependencies = append(dependencies, fields{"imageName": image})
	}
	m["dependencies"], m["pathWhitelist"] = dependencies, whitelist
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return imagetest.ACI(t, string(text), entries...)
}

const (
	topName    = "example.com/top"
	leftName   = "example.com/left"
	rightName  = "example.com/right"
	baseName   = "example.com/base"
	groundName = "example.com/ground"
)

// diamond returns five images: top depends on left and right, both on base, and
// base on ground.
func diamond(t *testing.T) map[string][]byte {
	t.Helper()
	f, link := imagetest.File, imagetest.Hardlink
	ground := append(users(), imagetest.Program("rootfs/probe", string(shared.probe)), imagetest.Dir("rootfs/d"),
		f("rootfs/d/all", "ground"), f("rootfs/d/ground", "ground"), f("rootfs/d/hidden", "ground"),
		f("rootfs/d/link1", "shared"), link("rootfs/d/link2", "rootfs/d/link1"), link("rootfs/d/link3", "rootfs/d/link1"))
	return map[string][]byte{
		groundName: dependent(t, groundName, nil, nil, ground...),
		baseName: dependent(t, baseName, []string{groundName}, []string{
			"/probe", "/etc/passwd", "/etc/group", "/d/all", "/d/ground", "/d/base", "/d/left-wins", "/d/link1", "/d/link2", "/d/link3",
			"/d/kept/", "/d/becomes-file/x",
		}, f("rootfs/d/all", "base"), f("rootfs/d/base", "base"), f("rootfs/d/left-wins", "base"),
			f("rootfs/d/not-listed", "base"), f("rootfs/d/becomes-file/x", "base")),
		leftName: dependent(t, leftName, []string{baseName}, nil, f("rootfs/d/all", "left"), f("rootfs/d/left-wins", "left"),
			f("rootfs/d/right-wins", "left"), f("rootfs/d/becomes-file", "left")),
		rightName: dependent(t, rightName, []string{baseName}, nil, f("rootfs/d/all", "right"), f("rootfs/d/right-wins", "right"),
			f("rootfs/d/link1", "right")),
		topName: dependent(t, topName, []string{leftName, rightName}, nil, f("rootfs/d/all", "top"),
			f("rootfs/d/own", "top"), link("rootfs/d/own-link", "rootfs/d/own")),
	}
}

// TestDiamond runs five images that depend on each other and looks at what they
// make together from inside.
func TestDiamond(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	var args []string
	for name, b := range diamond(t) {
		args = append(args, h.write(strings.ReplaceAll(name, "/", "-")+".aci", b))
	}
	// There is no network: what they depend on is among the files.
	h.must(append([]string{"fetch", "--pull-policy=new", "--insecure-options=image"}, args...)...)
	_, r := h.run(topName, "--cpu=1", "--", "files", "/d", "/etc/passwd")
	if r.Status != 0 {
		t.Fatalf("status %d: %s", r.Status, r.Stderr)
	}
	found := filesOf(t, r.Stdout, "top")
	got, inodes := make(map[string]string), make(map[uint64][]string)
	for path, f := range found {
		switch {
		case f.Mode&unix.S_IFMT == unix.S_IFDIR:
			got[path] = "directory"
		case path == "/etc/passwd":
			continue
		default:
			got[path] = string(f.Content)
		}
		inodes[f.Inode] = append(inodes[f.Inode], path)
	}
	want := map[string]string{
		"/d": "directory", "/d/all": "top", "/d/ground": "ground", "/d/base": "base", "/d/left-wins": "left", "/d/right-wins": "right",
		"/d/link1": "right", "/d/link2": "shared", "/d/link3": "shared", "/d/kept": "directory", "/d/becomes-file": "left",
		"/d/own": "top", "/d/own-link": "top",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, pair := range [][2]string{{"/d/link2", "/d/link3"}, {"/d/own", "/d/own-link"}} {
		a, b := found[pair[0]], found[pair[1]]
		if a.Inode != b.Inode || a.Links != 2 || len(inodes[a.Inode]) != 2 {
			t.Errorf("%v are not the two names of one file: %+v, %+v", pair, a, b)
		}
	}
	if f, there := found["/etc/passwd"]; !there || !strings.Contains(string(f.Content), "alice") {
		t.Errorf("/etc/passwd is %q", f.Content)
	}
}
