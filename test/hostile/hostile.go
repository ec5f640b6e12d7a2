// Package hostile holds hostile and odd images, each with the verdict that every
// way into the store must come to, and with what must be made of those that are
// accepted. The rows are tables: add one where it belongs.
package hostile

import (
	"archive/tar"
	"bytes"
	"cmp"
	"strings"
	"testing"

	"rkt/internal/image/imagetest"
)

// Vector is one image.
type Vector struct {
	// Name says what is in it.
	Name string
	// Image is the last part of the image's name, that of the vector if empty.
	Image string
	// Where the image is to come to, anywhere if it doesn't matter.
	Where Where
	// Data is the archive, as it is served.
	Data []byte
	// Refused is part of the error, empty if the image is accepted.
	Refused string
	// RefusedOnline is part of the error when it comes from a server, empty if
	// that is the same.
	RefusedOnline string
	// Files are what an accepted image must unpack to. Of further names of a
	// file only Link is looked at.
	Files map[string]File
}

// Where is a kind of place for images to come to.
type Where int

// Kinds of places.
const (
	Anywhere  Where = iota
	TightDisk       // a disk with TightRoom
	SizeLimit       // a host whose configuration says that images may have TightRoom
)

// TightRoom is how many bytes an image may have in a tight place.
const TightRoom = 16 << 20

// ImageName returns the name of the vector's image without the version, which is
// "1".
func (v *Vector) ImageName() string { return Prefix + cmp.Or(v.Image, v.Name) }

// Prefix is what all images' names begin with.
const Prefix = "example.com/vectors/"

// File is what must be at a path of the rootfs.
type File struct {
	Type    byte // as in package tar
	Mode    int64
	Owner   int // uid and gid
	Content string
	Link    string // target of a symbolic link, other name of a file
	Device  [2]int64
	Xattrs  map[string]string
	Size    int64 // if not 0, instead of Content
}

// All returns all vectors.
func All(t testing.TB) []Vector {
	t.Helper()
	var all []Vector
	for _, group := range []func(testing.TB) []Vector{
		escapes, specials, accounts, names, sizes, doubles, metadata, plain, structures, bombs,
	} {
		all = append(all, group(t)...)
	}
	return all
}

// manifest returns the manifest of a vector.
func manifest(name string) string {
	return imagetest.Manifest(Prefix+name, "1", []string{"/app"})
}

// refused is an image that must be refused.
func refused(t testing.TB, name, why string, entries ...imagetest.Entry) Vector {
	t.Helper()
	return Vector{Name: name, Data: imagetest.ACI(t, manifest(name), entries...), Refused: why}
}

// accepted is an image that must unpack to the files.
func accepted(t testing.TB, name string, files map[string]File, entries ...imagetest.Entry) Vector {
	t.Helper()
	return Vector{Name: name, Data: imagetest.ACI(t, manifest(name), entries...), Files: files}
}

// escapes try to put something outside of the image.
func escapes(t testing.TB) []Vector {
	t.Helper()
	f, link, hard, dir := imagetest.File, imagetest.Symlink, imagetest.Hardlink, imagetest.Dir
	return []Vector{
		refused(t, "dotdot", `the name has a ".."`, f("rootfs/../../../../etc/rkt-escaped", "x")),
		refused(t, "dotdot-inside", `the name has a ".."`, f("rootfs/a/../b", "x")),
		refused(t, "absolute", "the name is absolute", f("/etc/rkt-escaped", "x")),
		refused(t, "beside-rootfs", `only "manifest" and "rootfs" may be in an image`, f("rootfs-escaped/x", "x")),
		refused(t, "through-symlink", `leads through the symbolic link "out"`, link("rootfs/out", "/etc"), f("rootfs/out/rkt-escaped", "x")),
		refused(t, "through-relative-symlink", `leads through the symbolic link "out"`, link("rootfs/out", "../../../../etc"), f("rootfs/out/rkt-escaped", "x")),
		refused(t, "through-hard-linked-symlink", `leads through the symbolic link "in"`, link("rootfs/out", "/etc"), hard("rootfs/in", "rootfs/out"), f("rootfs/in/rkt-escaped", "x")),
		refused(t, "parent-replaced", "it replaces a directory", dir("rootfs/d"), f("rootfs/d/x", "x"), link("rootfs/d", "/etc"), f("rootfs/d/rkt-escaped", "x")),
		refused(t, "implied-parent-replaced", "it replaces a directory", f("rootfs/d/x", "x"), link("rootfs/d", "/etc")),
		refused(t, "rootfs-replaced", "rootfs is not a directory", link("rootfs", "/etc")),
		refused(t, "hard-link-up", `the name has a ".."`, hard("rootfs/shadow", "../../../../etc/shadow")),
		refused(t, "hard-link-absolute", "the name is absolute", hard("rootfs/shadow", "/etc/shadow")),
		refused(t, "hard-link-to-manifest", "outside of rootfs", hard("rootfs/m", "manifest")),
		refused(t, "hard-link-forward", "not a file that is in the archive before it", hard("rootfs/l", "rootfs/f"), f("rootfs/f", "x")),
		refused(t, "hard-link-to-directory", "not a file that is in the archive before it", dir("rootfs/d"), hard("rootfs/l", "rootfs/d")),
		accepted(t, "symlink-out", map[string]File{
			"abs": {Type: tar.TypeSymlink, Link: "/etc/shadow"}, "rel": {Type: tar.TypeSymlink, Link: "../../../../etc/shadow"},
		}, link("rootfs/abs", "/etc/shadow"), link("rootfs/rel", "../../../../etc/shadow")),
		accepted(t, "symlink-overwritten", map[string]File{"l": {Type: tar.TypeReg, Mode: 0o644, Content: "x"}},
			link("rootfs/l", "/etc/rkt-escaped"), f("rootfs/l", "x")),
	}
}

// specials are kept as what they are.
func specials(t testing.TB) []Vector {
	t.Helper()
	block := imagetest.Device("rootfs/sda", 8, 0)
	block.Typeflag = tar.TypeBlock
	setuid := imagetest.Program("rootfs/su", "#!")
	setuid.Mode = 0o6755
	sticky := imagetest.Dir("rootfs/sticky")
	sticky.Mode = 0o1777
	return []Vector{
		accepted(t, "devices", map[string]File{
			"mem": {Type: tar.TypeChar, Mode: 0o600, Device: [2]int64{1, 1}}, "sda": {Type: tar.TypeBlock, Mode: 0o600, Device: [2]int64{8, 0}},
			"pipe": {Type: tar.TypeFifo, Mode: 0o600},
		}, imagetest.Device("rootfs/mem", 1, 1), block, imagetest.Fifo("rootfs/pipe")),
		accepted(t, "setuid", map[string]File{
			"su": {Type: tar.TypeReg, Mode: 0o6755, Content: "#!"}, "sticky": {Type: tar.TypeDir, Mode: 0o1777},
		}, setuid, sticky),
		refused(t, "device-out-of-range", "the device number 70000:0 is out of range", imagetest.Device("rootfs/d", 70000, 0)),
	}
}

// accounts have account files that must not be followed or waited for.
func accounts(t testing.TB) []Vector {
	t.Helper()
	return []Vector{
		accepted(t, "passwd-symlink", map[string]File{"etc/passwd": {Type: tar.TypeSymlink, Link: "/proc/1/environ"}},
			imagetest.Symlink("rootfs/etc/passwd", "/proc/1/environ"), imagetest.Symlink("rootfs/etc/group", "../../../etc/group")),
		accepted(t, "passwd-fifo", map[string]File{"etc/passwd": {Type: tar.TypeFifo, Mode: 0o600}},
			imagetest.Fifo("rootfs/etc/passwd"), imagetest.Fifo("rootfs/etc/group")),
		accepted(t, "passwd-device", map[string]File{"etc/passwd": {Type: tar.TypeChar, Mode: 0o600, Device: [2]int64{1, 5}}},
			imagetest.Device("rootfs/etc/passwd", 1, 5)),
	}
}

// names are odd.
func names(t testing.TB) []Vector {
	t.Helper()
	long := strings.Repeat("n", 255)
	deep := strings.Repeat("d/", 1900) + "f"
	reg := File{Type: tar.TypeReg, Mode: 0o644}
	return []Vector{
		accepted(t, "non-utf8", map[string]File{"\xff\xfe\x80": reg, "nl\nnl": reg}, imagetest.File("rootfs/\xff\xfe\x80", ""), imagetest.File("rootfs/nl\nnl", "")),
		accepted(t, "pax-long-name", map[string]File{long + "/" + long: reg}, imagetest.File("rootfs/"+long+"/"+long, "")),
		accepted(t, "depth-1900", map[string]File{deep: reg}, imagetest.File("rootfs/"+deep, "")),
		gnuLongNames(t, long),
		refused(t, "depth-10000", "the name is longer than 4095 bytes", imagetest.File("rootfs/"+strings.Repeat("d/", 10000)+"f", "")),
		refused(t, "component-256", "longer than 255 bytes", imagetest.File("rootfs/"+long+"n", "")),
	}
}

// gnuLongNames has a long name and a long link target in entries of their own,
// as GNU tar makes them.
func gnuLongNames(t testing.TB, long string) Vector {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	const name = "gnu-long-names"
	text := manifest(name)
	for _, e := range []struct {
		header tar.Header
		data   string
	}{
		{tar.Header{Typeflag: tar.TypeReg, Name: "manifest", Size: int64(len(text)), Mode: 0o644}, text},
		{tar.Header{Typeflag: tar.TypeDir, Name: "rootfs", Mode: 0o755}, ""},
		{tar.Header{Typeflag: tar.TypeReg, Name: "rootfs/" + long + "/f", Size: 1, Mode: 0o644}, "x"},
		{tar.Header{Typeflag: tar.TypeSymlink, Name: "rootfs/l", Linkname: long + "/" + long, Mode: 0o777}, ""},
	} {
		e.header.Format = tar.FormatGNU
		if err := w.WriteHeader(&e.header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return Vector{Name: name, Data: b.Bytes(), Files: map[string]File{
		long + "/f": {Type: tar.TypeReg, Mode: 0o644, Content: "x"}, "l": {Type: tar.TypeSymlink, Link: long + "/" + long},
	}}
}
