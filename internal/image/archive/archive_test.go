package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rkt/internal/image/archive"
	"rkt/internal/image/imagetest"
)

func manifest() string { return imagetest.Manifest("example.com/a", "1.0", []string{"/a"}) }

func aci(t testing.TB, entries ...imagetest.Entry) []byte {
	t.Helper()
	return imagetest.ACI(t, manifest(), entries...)
}

// raw returns an archive whose last entry was changed in place, to make
// headers that no writer writes. The checksum is corrected.
func raw(t testing.TB, e imagetest.Entry, change func(header []byte)) []byte {
	t.Helper()
	b := aci(t, e)
	body := (len(e.Data) + 511) / 512 * 512
	header := b[len(b)-1024-body-512 : len(b)-1024-body]
	change(header)
	copy(header[148:156], "        ")
	sum := 0
	for _, c := range header {
		sum += int(c)
	}
	copy(header[148:156], []byte(strings.Repeat("0", 6-len(octal(sum)))+octal(sum)+"\x00 "))
	return b
}

func octal(n int) string {
	s := ""
	for ; n > 0; n /= 8 {
		s = string(rune('0'+n%8)) + s
	}
	return s
}

func many(n int) []imagetest.Entry {
	entries := make([]imagetest.Entry, n)
	for i := range entries {
		entries[i] = imagetest.Dir("rootfs/d")
	}
	return entries
}

func withOwner(e imagetest.Entry, uid, gid int) imagetest.Entry {
	e.Uid, e.Gid = uid, gid
	return e
}

func withMode(e imagetest.Entry, mode int64) imagetest.Entry {
	e.Mode = mode
	return e
}

func withXattr(e imagetest.Entry, name, value string) imagetest.Entry {
	archive.SetXattr(&e.Header, name, value)
	return e
}

type vector struct {
	name string
	data []byte
	want string // part of the error, "" for an archive that is accepted
}

// vectors are the archives that all readers of archives must judge alike.
func vectors(t testing.TB) []vector {
	t.Helper()
	ok := aci(t, imagetest.File("rootfs/a", "x"))
	gz := imagetest.Gzip(t, ok)
	longName := "rootfs/" + strings.Repeat("d/", 2100) + "f"
	return []vector{
		{"plain", ok, ""},
		{"gzip", gz, ""},
		{"two gzip members", append(imagetest.Gzip(t, ok[:700]), imagetest.Gzip(t, ok[700:])...), ""},
		{"manifest last", imagetest.Tar(t, imagetest.Dir("rootfs"), imagetest.File("manifest", manifest())), ""},
		{"leading dot", imagetest.Tar(t, imagetest.Dir("./"), imagetest.File("./manifest", manifest()), imagetest.Dir("./rootfs/"),
			imagetest.File("./rootfs//b", "")), ""},
		{"rootfs implied", imagetest.Tar(t, imagetest.File("manifest", manifest()), imagetest.File("rootfs/a/b", "")), ""},
		{"every type", aci(t, imagetest.Dir("rootfs/d"), imagetest.File("rootfs/d/f", "data"), imagetest.Symlink("rootfs/s", "/../../x"),
			imagetest.Hardlink("rootfs/h", "rootfs/d/f"), imagetest.Device("rootfs/dev/null", 1, 3), imagetest.Fifo("rootfs/p"),
			withMode(imagetest.File("rootfs/su", ""), 0o4755), withOwner(imagetest.File("rootfs/o", ""), 4294967294, 70000),
			withXattr(imagetest.File("rootfs/x", ""), "security.capability", "\x01\x00\x00\x02")), ""},
		{"hard link to symbolic link", aci(t, imagetest.Symlink("rootfs/s", "x"), imagetest.Hardlink("rootfs/h", "rootfs/s")), ""},
		{"non-UTF-8 name", aci(t, imagetest.File("rootfs/\xff\xfe", "")), ""},
		{"long name", aci(t, imagetest.File("rootfs/"+strings.Repeat("d/", 1000)+strings.Repeat("f", 255), "")), ""},
		{"directory twice", aci(t, imagetest.Dir("rootfs/d"), imagetest.Dir("rootfs/d")), ""},
		{"file twice", aci(t, imagetest.File("rootfs/f", "1"), imagetest.File("rootfs/f", "2")), ""},
		{"global header", imagetest.Tar(t, imagetest.Entry{Header: tar.Header{
			Typeflag:   tar.TypeXGlobalHeader,
			PAXRecords: map[string]string{"comment": "x"},
		}}, imagetest.File("manifest", manifest()), imagetest.Dir("rootfs")), ""},
		{"zeros after the end", append(bytes.Clone(ok), make([]byte, 8192)...), ""},

		{"empty", nil, "it is empty"},
		{"text", []byte("<!DOCTYPE html><html><body>404</body></html>"), "neither a tar archive nor"},
		{"long text", bytes.Repeat([]byte("html "), 1000), "neither a tar archive nor"},
		{"no manifest", imagetest.Tar(t, imagetest.Dir("rootfs")), "it has no manifest"},
		{"no rootfs", imagetest.Tar(t, imagetest.File("manifest", manifest())), "it has no rootfs"},
		{"two manifests", aci(t, imagetest.File("manifest", manifest())), "it has two manifests"},
		{"manifest is a link", imagetest.Tar(t, imagetest.Symlink("manifest", "/etc/passwd"), imagetest.Dir("rootfs")), "the manifest is not a regular file"},
		{"manifest too big", imagetest.Tar(t, imagetest.File("manifest", strings.Repeat(" ", 1<<20+1)), imagetest.Dir("rootfs")), "the manifest has 1048577 bytes"},
		{"rootfs is a file", imagetest.Tar(t, imagetest.File("manifest", manifest()), imagetest.File("rootfs", "")), "rootfs is not a directory"},
		{"rootfs is a link", imagetest.Tar(t, imagetest.File("manifest", manifest()), imagetest.Symlink("rootfs", "/")), "rootfs is not a directory"},
		{"other top level", aci(t, imagetest.File("rootfs2/x", "")), `entry "rootfs2/x": only "manifest" and "rootfs"`},
		{"dotdot", aci(t, imagetest.File("rootfs/../../etc/passwd", "")), `entry "rootfs/../../etc/passwd": the name has a ".."`},
		{"dotdot inside", aci(t, imagetest.File("rootfs/a/../b", "")), `the name has a ".."`},
		{"absolute", aci(t, imagetest.File("/etc/passwd", "")), `entry "/etc/passwd": the name is absolute`},
		{"through symbolic link", aci(t, imagetest.Symlink("rootfs/l", "/etc"), imagetest.File("rootfs/l/passwd", "")), `its path leads through the symbolic link "l"`},
		{"through deep symbolic link", aci(t, imagetest.Symlink("rootfs/a/l", "/"), imagetest.File("rootfs/a/l/b/c/d", "")), `leads through the symbolic link "a/l"`},
		{"through hard link to symbolic link", aci(t, imagetest.Symlink("rootfs/s", "/etc"), imagetest.Hardlink("rootfs/h", "rootfs/s"),
			imagetest.File("rootfs/h/passwd", "")), `leads through the symbolic link "h"`},
		{"through file", aci(t, imagetest.File("rootfs/f", ""), imagetest.File("rootfs/f/x", "")), `leads through "f", which is not a directory`},
		{"directory becomes link", aci(t, imagetest.Dir("rootfs/d"), imagetest.Symlink("rootfs/d", "/etc")), "it replaces a directory"},
		{"implied directory becomes link", aci(t, imagetest.File("rootfs/d/f", ""), imagetest.Symlink("rootfs/d", "/etc")), "it replaces a directory"},
		{"link becomes directory", aci(t, imagetest.Symlink("rootfs/d", "/etc"), imagetest.Dir("rootfs/d")), "it is a directory and replaces something else"},
		{"hard link outside", aci(t, imagetest.Hardlink("rootfs/h", "../../etc/shadow")), `it links to "../../etc/shadow": the name has a ".."`},
		{"hard link absolute", aci(t, imagetest.Hardlink("rootfs/h", "/etc/shadow")), `it links to "/etc/shadow": the name is absolute`},
		{"hard link to manifest", aci(t, imagetest.Hardlink("rootfs/h", "manifest")), `it links to "manifest", which is outside of rootfs`},
		{"hard link forward", aci(t, imagetest.Hardlink("rootfs/h", "rootfs/f"), imagetest.File("rootfs/f", "")), "not a file that is in the archive before it"},
		{"hard link to directory", aci(t, imagetest.Dir("rootfs/d"), imagetest.Hardlink("rootfs/h", "rootfs/d")), "not a file that is in the archive before it"},
		{"hard link to itself", aci(t, imagetest.File("rootfs/f", ""), imagetest.Hardlink("rootfs/f", "rootfs/f")), "it links to itself"},
		{"deep name", aci(t, imagetest.File(longName, "")), "the name is longer than 4095 bytes"},
		{"long component", aci(t, imagetest.File("rootfs/"+strings.Repeat("x", 256), "")), "longer than 255 bytes"},
		{"big device number", aci(t, imagetest.Device("rootfs/d", 4096, 0)), "the device number 4096:0 is out of range"},
		{"unknown type", raw(t, imagetest.File("rootfs/f", ""), func(h []byte) { h[156] = 'V' }), `entry "rootfs/f": the type 'V' is not known`},
		{"symbolic link to nothing", raw(t, imagetest.Symlink("rootfs/s", "x"), func(h []byte) { h[157] = 0 }), "no target"},
		{"negative size", raw(t, imagetest.File("rootfs/f", ""), func(h []byte) { copy(h[124:136], bytes.Repeat([]byte{0xff}, 12)) }), "not a tar archive, or a damaged one"},
		{"huge size", raw(t, imagetest.File("rootfs/f", ""), func(h []byte) { copy(h[124:136], "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff") }), "image too large"},
		{"negative owner", raw(t, imagetest.File("rootfs/f", ""), func(h []byte) { copy(h[108:116], bytes.Repeat([]byte{0xff}, 8)) }), "the owner -1:0 is out of range"},
		{"checksum", func() []byte { b := bytes.Clone(ok); b[1024+148] ^= 1; return b }(), "not a tar archive, or a damaged one"},
		{"truncated in data", ok[:len(ok)-1024-100], "it is truncated"},
		{"truncated in header", ok[:len(ok)-1024-512-100], "it is truncated"},
		{"end cut off", ok[:len(ok)-1024], "its end is not marked"},
		{"half the end cut off", ok[:len(ok)-512], "its end is not marked"},
		{"end cut off after zeros", aciEndingInZeros(t), "its end is not marked"},
		{"garbage after the end", append(bytes.Clone(ok), []byte("more")...), "there is data after its end"},
		{"second archive after the end", append(bytes.Clone(ok), ok...), "there is data after its end"},
		{"gzip truncated", gz[:len(gz)-9], "it is truncated"},
		{"gzip checksum", func() []byte { b := bytes.Clone(gz); b[len(b)-6] ^= 1; return b }(), "the compressed data is damaged"},
		{"gzip and garbage", append(bytes.Clone(gz), "garbage, and more of it"...), "the compressed data is damaged"},
		{"bomb", imagetest.Gzip(t, aci(t, imagetest.File("rootfs/z", strings.Repeat("\x00", 8<<20)))), "image too large"},
		{"too many entries", aci(t, many(1000)...), "more than 1000 entries"},
	}
}

func aciEndingInZeros(t testing.TB) []byte {
	b := aci(t, imagetest.File("rootfs/z", strings.Repeat("\x00", 4096)))
	return b[:len(b)-1024]
}

func testLimits() archive.Limits { return archive.Limits{Size: 4 << 20, Entries: 1000} }

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			info, err := archive.Scan(bytes.NewReader(v.data), testLimits(), nil)
			if v.want == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				if string(info.Manifest) != manifest() {
					t.Errorf("the manifest is %q", info.Manifest)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), v.want) {
				t.Fatalf("got %v, want %q", err, v.want)
			}
			if !errors.Is(err, archive.ErrInvalid) && !errors.Is(err, archive.ErrTooLarge) {
				t.Errorf("%v has no class", err)
			}
			if strings.Contains(err.Error(), "\n") || len(err.Error()) > 600 {
				t.Errorf("not one short line: %q", err)
			}
		})
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	plain := aci(t, imagetest.File("rootfs/a", "x"), imagetest.File("rootfs/a", "y"))
	sum := sha512.Sum512(plain)
	want := &archive.Info{
		ID: "sha512-" + hex.EncodeToString(sum[:32]), Manifest: []byte(manifest()), Size: int64(len(plain)),
		Compression: archive.Gzip, Entries: 4, Duplicates: true,
	}
	got, err := archive.Scan(bytes.NewReader(imagetest.Gzip(t, plain)), archive.Limits{}, nil)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestCompressions(t *testing.T) {
	t.Parallel()
	plain := aci(t, imagetest.File("rootfs/a", strings.Repeat("abc", 100000)))
	want, err := archive.Scan(bytes.NewReader(plain), archive.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []archive.Compression{archive.Gzip, archive.Bzip2, archive.XZ} {
		if _, err := exec.LookPath(string(c)); err != nil {
			t.Logf("not tested: %v", err)
			continue
		}
		cmd := exec.Command(string(c), "-c")
		cmd.Stdin = bytes.NewReader(plain)
		packed, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		got, err := archive.Scan(bytes.NewReader(packed), archive.Limits{}, nil)
		if err != nil || got.ID != want.ID || got.Compression != c {
			t.Errorf("%s: %+v, %v", c, got, err)
		}
		_, err = archive.Scan(bytes.NewReader(packed[:len(packed)-20]), archive.Limits{}, nil)
		if !errors.Is(err, archive.ErrInvalid) {
			t.Errorf("%s, truncated: %v", c, err)
		}
		packed[len(packed)/2] ^= 0x55
		if _, err = archive.Scan(bytes.NewReader(packed), archive.Limits{}, nil); !errors.Is(err, archive.ErrInvalid) {
			t.Errorf("%s, damaged: %v", c, err)
		}
	}
}

// TestReadErrorsAreNotBlamedOnTheArchive keeps a failing disk apart from a bad
// image.
func TestReadErrorsAreNotBlamedOnTheArchive(t *testing.T) {
	t.Parallel()
	broken := errors.New("input/output error")
	for _, b := range [][]byte{aci(t), imagetest.Gzip(t, aci(t))} {
		r := io.MultiReader(bytes.NewReader(b[:len(b)-20]), &failing{broken})
		if _, err := archive.Scan(r, archive.Limits{}, nil); !errors.Is(err, broken) || errors.Is(err, archive.ErrInvalid) {
			t.Errorf("got %v", err)
		}
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func TestPeekManifest(t *testing.T) {
	t.Parallel()
	b := aci(t, imagetest.File("rootfs/a", "x"))
	got, err := archive.PeekManifest(bytes.NewReader(b[:1024]), archive.Limits{})
	if err != nil || string(got) != manifest() {
		t.Errorf("%q, %v: the rest should not be looked at", got, err)
	}
	b = imagetest.Tar(t, imagetest.Dir("rootfs"))
	if _, err := archive.PeekManifest(bytes.NewReader(b), archive.Limits{}); !errors.Is(err, archive.ErrInvalid) {
		t.Errorf("no manifest: %v", err)
	}
}

func TestVerified(t *testing.T) {
	t.Parallel()
	b := aci(t, imagetest.File("rootfs/a", "x"))
	info, err := archive.Scan(bytes.NewReader(b), archive.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, archive.Verified(bytes.NewReader(b), info.ID)); err != nil {
		t.Error(err)
	}
	b[1030] ^= 1
	if _, err := io.Copy(io.Discard, archive.Verified(bytes.NewReader(b), info.ID)); !errors.Is(err, archive.ErrDigest) {
		t.Errorf("a changed byte: %v", err)
	}
}

func TestEntries(t *testing.T) {
	t.Parallel()
	b := aci(t,
		withXattr(withOwner(withMode(imagetest.File("rootfs/./a//b", "hello"), 0o104755), 1, 2), "user.k", "v"),
		imagetest.Hardlink("rootfs/c", "./rootfs/a/b"), imagetest.Symlink("rootfs/d", "a/../../b"))
	r := archive.NewReader(bytes.NewReader(b), archive.Limits{})
	type entry struct {
		Name, Link, Data string
		Type             byte
		Mode             int64
		UID, GID         int
		Xattrs           map[string]string
	}
	var got []entry
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if e.Manifest {
			continue
		}
		got = append(got, entry{
			e.Name, e.Header.Linkname, string(data), e.Header.Typeflag, e.Header.Mode,
			e.Header.Uid, e.Header.Gid, archive.Xattrs(&e.Header),
		})
	}
	none := map[string]string{}
	want := []entry{
		{".", "", "", tar.TypeDir, 0o755, 0, 0, none},
		{"a/b", "", "hello", tar.TypeReg, 0o4755, 1, 2, map[string]string{"user.k": "v"}},
		{"c", "a/b", "", tar.TypeLink, 0, 0, 0, none},
		{"d", "a/../../b", "", tar.TypeSymlink, 0o777, 0, 0, none},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// stored returns an image that the standard library has no writer for, as it is
// before it was packed to be stored.
func stored(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(name, ".gz") {
		return b
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzScan shows that no input makes the reader fail in another way than with
// a classed error, and that what it accepts it accepts again.
func FuzzScan(f *testing.F) {
	for _, v := range vectors(f) {
		if len(v.data) < 64<<10 {
			f.Add(v.data)
		}
	}
	for _, name := range []string{"bzip2.aci", "xz.aci", "sparse-pax.aci.gz", "sparse-gnu.aci.gz", "gnu-long-names.aci.gz"} {
		b := stored(f, name)
		if _, err := archive.Scan(bytes.NewReader(b), testLimits(), nil); err != nil {
			f.Fatalf("%s: %v", name, err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := archive.Scan(bytes.NewReader(b), testLimits(), nil)
		if err != nil {
			if !errors.Is(err, archive.ErrInvalid) && !errors.Is(err, archive.ErrTooLarge) {
				t.Errorf("the error has no class: %v", err)
			}
			return
		}
		plain, _, err := archive.Decompress(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, archive.Verified(plain, info.ID)); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 8<<20)
	for i := range data {
		data[i] = byte(random.IntN(16))
	}
	plain := aci(b, imagetest.File("rootfs/a", string(data)))
	for name, packed := range map[string][]byte{"plain": plain, "gzip": imagetest.Gzip(b, plain)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			for b.Loop() {
				if _, err := archive.Scan(bytes.NewReader(packed), archive.Limits{}, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
