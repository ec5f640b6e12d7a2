package render_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rkt/internal/image/archive"
	"rkt/internal/image/imagetest"
	"rkt/internal/image/render"
)

func aci(t testing.TB, entries ...imagetest.Entry) []byte {
	t.Helper()
	return imagetest.ACI(t, imagetest.Manifest("example.com/a", "1.0", []string{"/a"}), entries...)
}

func change(e imagetest.Entry, f func(*tar.Header)) imagetest.Entry {
	f(&e.Header)
	return e
}

func at(e imagetest.Entry, t time.Time) imagetest.Entry {
	return change(e, func(h *tar.Header) { h.ModTime = t })
}

func xattr(e imagetest.Entry, kv ...string) imagetest.Entry {
	return change(e, func(h *tar.Header) {
		for i := 0; i < len(kv); i += 2 {
			archive.SetXattr(h, kv[i], kv[i+1])
		}
	})
}

// everything returns an image with all that a file system has.
func everything(t testing.TB) []byte {
	// cap_net_raw+ep
	capability := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	entries := []imagetest.Entry{
		change(imagetest.Dir("rootfs/tmp"), func(h *tar.Header) { h.Mode = 0o1700; h.Uid = 5 }),
		imagetest.Dir("rootfs/bin"),
		change(imagetest.Program("rootfs/bin/su", "#!su"), func(h *tar.Header) { h.Mode = 0o6755 }),
		xattr(imagetest.Program("rootfs/bin/ping", "ping"), "security.capability", capability, "user.a", "1",
			"user.big", strings.Repeat("v", 3000), "trusted.x", "\x00\xff", "trusted.overlay.opaque", "y"),
		imagetest.Hardlink("rootfs/bin/ping6", "rootfs/bin/ping"),
		change(imagetest.File("rootfs/home/user/file", "data"), func(h *tar.Header) { h.Uid, h.Gid = 70000, 80000; h.Mode = 0 }),
		imagetest.Symlink("rootfs/short", "bin/ping"),
		imagetest.Symlink("rootfs/long", strings.Repeat("x/", 2000)),
		imagetest.Hardlink("rootfs/short2", "rootfs/short"),
		imagetest.Device("rootfs/dev/null", 1, 3),
		imagetest.Device("rootfs/dev/far", 259, 70000),
		change(imagetest.Device("rootfs/dev/sda", 8, 0), func(h *tar.Header) { h.Typeflag = tar.TypeBlock }),
		imagetest.Fifo("rootfs/dev/fifo"),
		imagetest.File("rootfs/"+strings.Repeat("n", 255), ""),
		imagetest.File("rootfs/\xff\xfe not UTF-8\n", "bytes"),
		imagetest.File("rootfs/"+strings.Repeat("deep/", 60)+"f", "deep"),
		at(imagetest.File("rootfs/t1960", ""), time.Date(1960, 1, 2, 3, 4, 5, 6, time.UTC)),
		at(imagetest.File("rootfs/t1970", ""), time.Unix(0, 0)),
		at(imagetest.File("rootfs/t2024", ""), time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.UTC)),
		at(imagetest.File("rootfs/t2050", ""), time.Date(2050, 1, 1, 0, 0, 0, 1, time.UTC)),
		at(imagetest.File("rootfs/t2300", ""), time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)),
	}
	for _, n := range []int{0, 1, 4095, 4096, 4097, 8192, 1 << 20} {
		entries = append(entries, imagetest.File(fmt.Sprintf("rootfs/size/%d", n), strings.Repeat("s", n)))
	}
	return aci(t, entries...)
}

// TestKeepsEverything compares what the kernel and GNU tar see in the disk with
// what is in the archive.
func TestKeepsEverything(t *testing.T) {
	t.Parallel()
	b := everything(t)
	got := read(t, mustExt4(t, layer(b)))
	want := make(map[string]node)
	archived := parse(t, b)
	for name, n := range archived {
		name, ok := strings.CutPrefix(name, "rootfs")
		if !ok {
			continue
		}
		name = "./" + strings.TrimPrefix(name, "/")
		if n.Type == tar.TypeLink {
			n = archived[n.Link]
		}
		delete(n.Xattrs, "trusted.overlay.opaque")
		want[name] = n
	}
	implied := node{Type: tar.TypeDir, Mode: 0o755, Mtime: "1970-01-01T00:00:00", Xattrs: map[string]string{}}
	for _, dir := range []string{"dev", "etc", "proc", "run", "sys", "home", "home/user", "size"} {
		want["./"+dir] = implied
	}
	for deep := "deep"; strings.Count(deep, "/") < 60; deep += "/deep" {
		want["./"+deep] = implied
	}
	want["./lost+found"] = node{Type: tar.TypeDir, Mode: 0o700, Mtime: implied.Mtime, Xattrs: map[string]string{}}
	compare(t, want, got)
}

// compare reports every path that differs. Of hard links in got the first name
// has the data.
func compare(t *testing.T, want, got map[string]node) {
	t.Helper()
	resolved := make(map[string]node)
	for name, n := range got {
		key := "./" + strings.TrimPrefix(strings.TrimPrefix(name, "./"), ".")
		if n.Type == tar.TypeLink {
			n = got[strings.TrimPrefix(n.Link, "./")]
		}
		resolved[key] = n
	}
	for name, w := range want {
		g, there := resolved[name]
		if !there {
			t.Errorf("%.80q is missing", name)
		} else if diff := cmp.Diff(w, g); diff != "" {
			t.Errorf("%.80q: %s", name, diff)
		}
	}
	for name := range resolved {
		if _, there := want[name]; !there {
			t.Errorf("%.80q is new", name)
		}
	}
}

func TestHardLinksAreOneFile(t *testing.T) {
	t.Parallel()
	got := read(t, mustExt4(t, layer(everything(t))))
	a, b := got["bin/ping"], got["bin/ping6"]
	if (a.Type == tar.TypeLink) == (b.Type == tar.TypeLink) {
		t.Errorf("%c and %c", a.Type, b.Type)
	}
}

func TestSameBytes(t *testing.T) {
	t.Parallel()
	b := everything(t)
	var sums [2][sha256.Size]byte
	for i := range sums {
		image, err := os.ReadFile(mustExt4(t, layer(b)))
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = sha256.Sum256(image)
	}
	if sums[0] != sums[1] {
		t.Error("two disks of one image differ")
	}
}

func TestMountPoints(t *testing.T) {
	t.Parallel()
	for desc, tc := range map[string]struct {
		entry imagetest.Entry
		want  string
	}{
		"proc is a file":       {imagetest.File("rootfs/proc", ""), `"/proc" is not a directory`},
		"dev is a link":        {imagetest.Symlink("rootfs/dev", "etc"), `"/dev" is not a directory`},
		"tmp is a fifo":        {imagetest.Fifo("rootfs/tmp"), `"/tmp" is not a directory`},
		"tmp is a link":        {imagetest.Symlink("rootfs/tmp", "var/tmp"), ""},
		"lost+found is a file": {imagetest.File("rootfs/lost+found", ""), `"/lost+found" is not a directory`},
		"lost+found is there":  {imagetest.Dir("rootfs/lost+found"), ""},
	} {
		_, err := ext4(t, layer(aci(t, tc.entry)))
		if tc.want == "" && err != nil || tc.want != "" && (!errors.Is(err, render.ErrUnsupported) || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: got %v, want %q", desc, err, tc.want)
		}
	}
	got := read(t, mustExt4(t, layer(aci(t))))
	if n := got["tmp"]; n.Mode != 0o1777 {
		t.Errorf("/tmp has mode %o", n.Mode)
	}
}

// TestHoles shows that blocks of zeros take no room, and that what is between
// them is there.
func TestHoles(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte{0}, 32<<20)
	copy(data[5<<20+1:], "island")
	path := mustExt4(t, layer(aci(t, imagetest.File("rootfs/sparse", string(data)))))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Size() < 32<<20 || stat.Blocks*512 > 1<<20 {
		t.Errorf("size %d, allocated %d", info.Size(), stat.Blocks*512)
	}
	if n := read(t, path)["sparse"]; n.Data != string(data) {
		t.Error("the data differs")
	}
}

// TestXattrs covers the attributes that need care: many of them, and access
// control lists, whose form on a disk is another.
func TestXattrs(t *testing.T) {
	t.Parallel()
	acl := "\x02\x00\x00\x00" + // version
		"\x01\x00\x06\x00\xff\xff\xff\xff" + // owner rw
		"\x02\x00\x04\x00\xe8\x03\x00\x00" + // user 1000 r
		"\x04\x00\x04\x00\xff\xff\xff\xff" + // group r
		"\x10\x00\x04\x00\xff\xff\xff\xff" + // mask r
		"\x20\x00\x00\x00\xff\xff\xff\xff" // others nothing
	many := make([]string, 0, 24)
	for i := range 12 {
		many = append(many, fmt.Sprintf("user.%s%d", strings.Repeat("k", (i*7)%11), i), strings.Repeat("v", i))
	}
	got := read(t, mustExt4(t, layer(aci(t,
		change(xattr(imagetest.File("rootfs/acl", ""), "system.posix_acl_access", acl), func(h *tar.Header) { h.Mode = 0o640 }),
		xattr(imagetest.File("rootfs/many", ""), many...),
		xattr(imagetest.File("rootfs/odd", ""), "com.example", "x"),
	))))
	if n := got["acl"]; n.Xattrs["system.posix_acl_access"] != acl {
		t.Errorf("the list is %q", n.Xattrs)
	}
	if n := got["many"]; len(n.Xattrs) != 12 {
		t.Errorf("%d of 12 attributes are left", len(n.Xattrs))
	}
	if n := got["odd"]; len(n.Xattrs) != 0 {
		t.Errorf("%v", n.Xattrs)
	}
	for _, e := range []imagetest.Entry{
		xattr(imagetest.File("rootfs/f", ""), append([]string{"user.one", "more"}, many...)...),
		xattr(imagetest.File("rootfs/f", ""), "user.a", strings.Repeat("v", 5000)),
		xattr(imagetest.File("rootfs/f", ""), "system.posix_acl_access", "\x01"),
	} {
		if _, err := ext4(t, layer(aci(t, e))); !errors.Is(err, render.ErrUnsupported) || !strings.Contains(err.Error(), "f") {
			t.Errorf("%v: %v", e.PAXRecords, err)
		}
	}
}

// files returns the data of the regular files of an image, and the targets of
// hard links after an arrow.
func files(t *testing.T, layers ...render.Layer) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for name, n := range read(t, mustExt4(t, layers...)) {
		switch n.Type {
		case tar.TypeReg, tar.TypeSymlink:
			out[name] = n.Data + n.Link
		case tar.TypeLink:
			out[name] = "=" + strings.TrimPrefix(n.Link, "./")
		}
	}
	return out
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	for desc, tc := range map[string]struct {
		entries []imagetest.Entry
		want    map[string]string
	}{
		"later wins": {
			[]imagetest.Entry{imagetest.File("rootfs/a", "1"), imagetest.File("rootfs/a", "22")},
			map[string]string{"a": "22"},
		},
		"link keeps the old file": {
			[]imagetest.Entry{imagetest.File("rootfs/a", "1"), imagetest.Hardlink("rootfs/b", "rootfs/a"), imagetest.File("rootfs/a", "2")},
			map[string]string{"a": "2", "b": "1"},
		},
		"both replaced": {
			[]imagetest.Entry{
				imagetest.File("rootfs/a", "1"), imagetest.Hardlink("rootfs/b", "rootfs/a"),
				imagetest.File("rootfs/a", "2"), imagetest.File("rootfs/b", "3"),
			},
			map[string]string{"a": "2", "b": "3"},
		},
		"file replaced by link": {
			[]imagetest.Entry{imagetest.File("rootfs/a", "1"), imagetest.File("rootfs/b", "2"), imagetest.Hardlink("rootfs/a", "rootfs/b")},
			map[string]string{"a": "2", "b": "=a"},
		},
		"file replaced by symbolic link": {
			[]imagetest.Entry{imagetest.File("rootfs/a", "1"), imagetest.Symlink("rootfs/a", "x")},
			map[string]string{"a": "x"},
		},
		"link after the first name is gone": {
			[]imagetest.Entry{
				imagetest.File("rootfs/z", "1"), imagetest.Hardlink("rootfs/y", "rootfs/z"),
				imagetest.File("rootfs/z", "2"), imagetest.Hardlink("rootfs/x", "rootfs/y"),
			},
			map[string]string{"z": "2", "x": "1", "y": "=x"},
		},
	} {
		got := files(t, layer(aci(t, tc.entries...), duplicates))
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", desc, diff)
		}
	}
}

func TestWhitelist(t *testing.T) {
	t.Parallel()
	b := aci(t, imagetest.File("rootfs/usr/bin/a", "a"), imagetest.File("rootfs/usr/bin/b", "b"),
		imagetest.Hardlink("rootfs/usr/bin/c", "rootfs/usr/bin/b"), imagetest.Dir("rootfs/empty"), imagetest.File("rootfs/empty/f", "f"))
	got := files(t, layer(b, whitelist("/usr/bin/a", "/usr/bin/c", "/empty/")))
	if diff := cmp.Diff(map[string]string{"usr/bin/a": "a", "usr/bin/c": "b"}, got); diff != "" {
		t.Error(diff)
	}
	if n, there := read(t, mustExt4(t, layer(b, whitelist("/empty/"))))["empty"]; !there || n.Type != tar.TypeDir {
		t.Error("the listed directory is missing")
	}
}

func TestLayers(t *testing.T) {
	t.Parallel()
	lower := aci(t, imagetest.File("rootfs/a", "lower"), imagetest.File("rootfs/b", "lower"), imagetest.Hardlink("rootfs/c", "rootfs/a"),
		imagetest.File("rootfs/dir/f", "lower"), imagetest.Symlink("rootfs/link", "dir"))
	upper := aci(t, imagetest.File("rootfs/a", "upper"), imagetest.File("rootfs/dir", "upper"), imagetest.File("rootfs/link/f", "upper"),
		imagetest.File("rootfs/d", "upper"), imagetest.Hardlink("rootfs/b", "rootfs/d"))
	want := map[string]string{"a": "upper", "c": "lower", "b": "upper", "d": "=b", "dir": "upper", "link/f": "upper"}
	if diff := cmp.Diff(want, files(t, layer(lower), layer(upper))); diff != "" {
		t.Error(diff)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	b := aci(t, imagetest.File("rootfs/f", strings.Repeat("x", 1<<20)))
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if err := render.Ext4(context.Background(), full, []render.Layer{layer(b)}, archive.Limits{}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("no room: %v", err)
	}
	canceled, cancel := context.WithCancelCause(context.Background())
	enough := errors.New("enough")
	cancel(enough)
	if err := render.Ext4(canceled, full, []render.Layer{layer(b)}, archive.Limits{}); !errors.Is(err, enough) {
		t.Errorf("canceled: %v", err)
	}
	damaged := render.Layer{Open: func() (io.ReadCloser, error) {
		return io.NopCloser(archive.Verified(bytes.NewReader(b), "sha512-00")), nil
	}}
	if _, err := ext4(t, damaged); !errors.Is(err, archive.ErrDigest) {
		t.Errorf("another image: %v", err)
	}
	if _, err := ext4(t, layer(b[:len(b)-2048])); !errors.Is(err, archive.ErrInvalid) {
		t.Errorf("truncated: %v", err)
	}
	missing := render.Layer{Open: func() (io.ReadCloser, error) { return nil, os.ErrNotExist }}
	if _, err := ext4(t, missing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

func BenchmarkExt4(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	entries := make([]imagetest.Entry, 1000)
	size := int64(0)
	for i := range entries {
		data := make([]byte, random.IntN(64<<10))
		for j := range data {
			data[j] = byte(random.Uint32())
		}
		size += int64(len(data))
		entries[i] = imagetest.File(fmt.Sprintf("rootfs/d%d/f%d", i%30, i), string(data))
	}
	image := aci(b, entries...)
	b.SetBytes(size)
	for b.Loop() {
		if _, err := ext4(b, layer(image)); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzExt4 shows that whatever archive the reader accepts, the converter ends
// with a disk or an error, and that a plan changes nothing where none is
// needed. (Only the order of the inodes if a directory comes twice.) Four bytes of
// input make one entry.
func FuzzExt4(f *testing.F) {
	f.Add([]byte{0, 0, 0, 9, 1, 2, 0, 0, 3, 5, 0, 0})
	f.Add([]byte{0, 0, 0, 1, 3, 1, 0, 0, 0, 0, 0, 2})
	f.Add([]byte{0, 1, 0, 200, 2, 4, 7, 0, 4, 6, 3, 0, 5, 8, 0, 0})
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 200 {
			return
		}
		list := entries(program)
		b := aci(t, list...)
		info, err := archive.Scan(bytes.NewReader(b), archive.Limits{}, nil)
		if err != nil {
			return
		}
		l := layer(b)
		l.Duplicates = info.Duplicates
		one, err := ext4(t, l)
		if err != nil && !errors.Is(err, render.ErrUnsupported) {
			t.Fatal(err)
		}
		two, err2 := ext4(t, layer(b, duplicates))
		if (err == nil) != (err2 == nil) {
			t.Fatalf("with a plan: %v, without: %v", err2, err)
		}
		if err == nil && !twice(list) && !bytes.Equal(mustRead(t, one), mustRead(t, two)) {
			t.Error("the disk differs with a plan")
		}
	})
}

// twice says whether an entry's name comes twice.
func twice(list []imagetest.Entry) bool {
	seen := make(map[string]bool)
	for _, e := range list {
		if seen[e.Header.Name] {
			return true
		}
		seen[e.Header.Name] = true
	}
	return false
}

// entries makes entries with names that meet each other often.
func entries(program []byte) []imagetest.Entry {
	names := []string{"a", "b", "a/b", "a/b/c", "b/d", "e", "proc", "tmp/x", "e/f/g"}
	name := func(b byte) string { return "rootfs/" + names[int(b)%len(names)] }
	var list []imagetest.Entry
	for ; len(program) >= 4; program = program[4:] {
		at, data := name(program[1]), strings.Repeat("x", int(program[3])*40)
		list = append(list, []imagetest.Entry{
			imagetest.File(at, data), imagetest.Dir(at), imagetest.Symlink(at, data+"y"[len(data)%2:]+"z"),
			imagetest.Hardlink(at, name(program[2])), imagetest.Device(at, 1, int64(program[3])), imagetest.Fifo(at),
			xattr(imagetest.File(at, data), "user.k", data[:min(len(data), 3000)]),
		}[program[0]%7])
	}
	return list
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
