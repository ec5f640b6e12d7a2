package hostile

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"rkt/internal/image/imagetest"
)

// block is the unit of a tar.
const block = 512

// patched returns an image whose last entry's header was changed in place, for
// headers that no writer writes. The checksum is put right.
func patched(t testing.TB, name string, e imagetest.Entry, change func(header []byte)) []byte {
	t.Helper()
	b := imagetest.ACI(t, manifest(name), e)
	body := (len(e.Data) + block - 1) / block * block
	header := b[len(b)-2*block-body-block : len(b)-2*block-body]
	change(header)
	sign(header)
	return b
}

// sign puts the checksum of a header right.
func sign(header []byte) {
	copy(header[148:156], "        ")
	sum := 0
	for _, c := range header {
		sum += int(c)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

// damaged is said of what no tar can be.
const damaged = "not a tar archive, or a damaged one"

// sizes are not what they should be.
func sizes(t testing.TB) []Vector {
	t.Helper()
	size := func(value string) func([]byte) { return func(h []byte) { copy(h[124:136], value) } }
	f := imagetest.File("rootfs/f", "")
	return append(sparse(t), []Vector{
		{Name: "negative-size", Data: patched(t, "negative-size", f, size(strings.Repeat("\xff", 12))), Refused: damaged},
		{Name: "huge-size", Data: patched(t, "huge-size", f, size("\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff")), Refused: "not enough free disk space"},
		{Name: "size-beyond-end", Data: patched(t, "size-beyond-end", f, size("00000010000\x00")), Refused: "it is truncated"},
	}...)
}

// sparse returns files of 64 MiB with one byte at their ends.
func sparse(t testing.TB) []Vector {
	t.Helper()
	const length = 64 << 20
	files := map[string]File{"sparse": {Type: tar.TypeReg, Mode: 0o644, Size: length}}
	return []Vector{
		{Name: "sparse-pax", Data: sparseImage(t, "sparse-pax", length), Files: files},
		{Name: "sparse-gnu", Data: withRaw(t, "sparse-gnu", oldSparse("rootfs/sparse", length, "x")), Files: files},
		{Name: "sparse-unreferenced", Data: withRaw(t, "sparse-unreferenced", oldSparse("rootfs/sparse", length, "xx")), Refused: damaged},
		{Name: "sparse-missing", Data: withRaw(t, "sparse-missing", oldSparse("rootfs/sparse", length, "")), Refused: damaged},
	}
}

// sparseImage has a file with one byte at its end, in the first sparse format of
// PAX. The writer of the standard library writes no sparse files.
func sparseImage(t testing.TB, name string, length int64) []byte {
	t.Helper()
	records := ""
	for _, kv := range [][2]string{
		{"GNU.sparse.size", fmt.Sprint(length)},
		{"GNU.sparse.numblocks", "1"},
		{"GNU.sparse.offset", fmt.Sprint(length - 1)},
		{"GNU.sparse.numbytes", "1"},
	} {
		n := len(kv[0]) + len(kv[1]) + 3
		record := fmt.Sprintf("%d %s=%s\n", n+len(fmt.Sprint(n+2)), kv[0], kv[1])
		records += record
	}
	return withRaw(t, name, slices.Concat(raw(tar.TypeXHeader, "pax", records), raw(tar.TypeReg, "rootfs/sparse", "x")))
}

// oldSparse is an entry for a file that has data of one byte, at its end, in the
// format that GNU tar had before PAX. Source: GNU tar manual, "Old GNU Format".
func oldSparse(name string, length int64, data string) []byte {
	b := raw('S', name, data)
	h := b[:block]
	copy(h[257:], "ustar  \x00")
	copy(h[386:], fmt.Sprintf("%011o\x00%011o\x00", length-1, 1))
	copy(h[483:], fmt.Sprintf("%011o\x00", length))
	sign(h)
	return b
}

// raw returns an entry for which there is no writer.
func raw(kind byte, name, data string) []byte {
	h := make([]byte, block)
	copy(h, name)
	copy(h[100:], "0000644\x000000000\x000000000\x00")
	copy(h[124:], fmt.Sprintf("%011o\x0000000000000\x00", len(data)))
	h[156] = kind
	copy(h[257:], "ustar\x0000")
	sign(h)
	return slices.Concat(h, []byte(data), make([]byte, (block-len(data)%block)%block))
}

// withRaw returns an image with raw entries at its end.
func withRaw(t testing.TB, name string, entries []byte) []byte {
	t.Helper()
	good := imagetest.ACI(t, manifest(name))
	return slices.Concat(good[:len(good)-2*block], entries, make([]byte, 2*block))
}

// doubles have names more than once.
func doubles(t testing.TB) []Vector {
	t.Helper()
	f := imagetest.File
	reg := func(content string) File { return File{Type: tar.TypeReg, Mode: 0o644, Content: content} }
	return []Vector{
		accepted(t, "file-twice", map[string]File{"f": reg("2"), "l": reg("1")},
			f("rootfs/f", "1"), imagetest.Hardlink("rootfs/l", "rootfs/f"), f("rootfs/f", "2")),
		accepted(t, "directory-twice", map[string]File{"d/f": reg("1")}, imagetest.Dir("rootfs/d"), f("rootfs/d/f", "1"), imagetest.Dir("rootfs/d")),
		refused(t, "file-becomes-directory", "it is a directory and replaces something else", f("rootfs/f", ""), imagetest.Dir("rootfs/f")),
		refused(t, "manifest-twice", "it has two manifests", f("manifest", manifest("manifest-twice"))),
		refused(t, "through-file", `leads through "f", which is not a directory`, f("rootfs/f", ""), f("rootfs/f/x", "")),
	}
}

// metadata must survive.
func metadata(t testing.TB) []Vector {
	t.Helper()
	owned := imagetest.File("rootfs/owned", "x")
	owned.Uid, owned.Gid = 123456, 123456
	xattr := imagetest.File("rootfs/xattr", "x")
	xattr.PAXRecords = map[string]string{
		"SCHILY.xattr.user.note": "any\x00bytes", "SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
	}
	overlay := imagetest.Dir("rootfs/opaque")
	overlay.PAXRecords = map[string]string{"SCHILY.xattr.trusted.overlay.opaque": "y"}
	return []Vector{
		accepted(t, "owners", map[string]File{"owned": {Type: tar.TypeReg, Mode: 0o644, Owner: 123456, Content: "x"}}, owned),
		accepted(t, "xattrs", map[string]File{
			"xattr": {Type: tar.TypeReg, Mode: 0o644, Content: "x", Xattrs: map[string]string{
				"user.note": "any\x00bytes", "security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
			}},
			"opaque": {Type: tar.TypeDir, Mode: 0o755}, // orders to an overlay are no data
		}, xattr, overlay),
		accepted(t, "hard-links", map[string]File{
			"a": {Type: tar.TypeReg, Mode: 0o644, Content: "x"}, "b/c": {Link: "a"}, "d": {Link: "a"}, "e": {Type: tar.TypeSymlink, Link: "a"}, "f": {Link: "e"},
		}, imagetest.File("rootfs/a", "x"), imagetest.Hardlink("rootfs/b/c", "rootfs/a"), imagetest.Hardlink("rootfs/d", "rootfs/b/c"),
			imagetest.Symlink("rootfs/e", "a"), imagetest.Hardlink("rootfs/f", "rootfs/e")),
		{Name: "owner-out-of-range", Refused: "is out of range", Data: patched(t, "owner-out-of-range", imagetest.File("rootfs/f", ""),
			func(h []byte) { copy(h[108:116], strings.Repeat("\xff", 8)) })},
	}
}

// plain are good images, in every way to compress them.
func plain(t testing.TB) []Vector {
	t.Helper()
	aci := func(name string) []byte {
		return imagetest.ACI(t, manifest(name), imagetest.Program("rootfs/app", "#!/bin/sh\n"))
	}
	files := map[string]File{"app": {Type: tar.TypeReg, Mode: 0o755, Content: "#!/bin/sh\n"}}
	all := []Vector{{Name: "plain", Data: aci("plain"), Files: files}}
	for _, tool := range []string{"gzip", "bzip2", "xz"} {
		all = append(all, Vector{Name: tool, Data: compress(t, tool, bytes.NewReader(aci(tool))), Files: files})
	}
	return all
}

// structures are no images.
func structures(t testing.TB) []Vector {
	t.Helper()
	good := imagetest.ACI(t, manifest("structures"), imagetest.File("rootfs/f", "x"))
	gz := imagetest.Gzip(t, good)
	flipped := bytes.Clone(gz)
	flipped[len(flipped)-6] ^= 1
	unknown := patched(t, "structures", imagetest.File("rootfs/f", ""), func(h []byte) { h[156] = 'V' })
	all := []Vector{
		{Name: "empty", Refused: "it is empty"},
		{Name: "nonsense", Data: []byte("hello\n"), Refused: "neither a tar archive nor"},
		{Name: "html", Data: []byte("<!DOCTYPE html><html><body>404</body></html>"), Refused: "neither a tar archive nor", RefusedOnline: "the server has sent a web page"},
		{Name: "no-manifest", Data: imagetest.Tar(t, imagetest.Dir("rootfs")), Refused: "it has no manifest"},
		{Name: "no-rootfs", Data: imagetest.Tar(t, imagetest.File("manifest", manifest("structures"))), Refused: "it has no rootfs"},
		{Name: "manifest-link", Data: imagetest.Tar(t, imagetest.Symlink("manifest", "/etc/passwd"), imagetest.Dir("rootfs")), Refused: "the manifest is not a regular file"},
		{Name: "large-manifest", Data: imagetest.Tar(t, imagetest.File("manifest", strings.Repeat(" ", 2<<20)), imagetest.Dir("rootfs")), Refused: "the manifest has 2097152 bytes"},
		{Name: "unknown-type", Data: unknown, Refused: "is not known"},
		{Name: "end-cut-off", Data: good[:len(good)-2*block], Refused: "its end is not marked"},
		{Name: "two-archives", Data: append(bytes.Clone(good), good...), Refused: "there is data after its end"},
		{Name: "more-after-the-end", Data: append(bytes.Clone(good), "more"...), Refused: "data after its end"},
		{Name: "gzip-truncated", Data: gz[:len(gz)-9], Refused: "it is truncated"},
		{Name: "gzip-checksum", Data: flipped, Refused: "the compressed data is damaged"},
		{Name: "gzip-and-garbage", Data: append(bytes.Clone(gz), "garbage, and more of it"...), Refused: "the compressed data is damaged"},
	}
	for i := range all {
		all[i].Image = "structures"
	}
	return all
}

const million = 1_000_000

// bombs are small until they are looked at.
func bombs(t testing.TB) []Vector {
	t.Helper()
	all := []Vector{
		{Name: "million-entries", Data: compressed(t, "million-entries", "gzip", million, "rootfs/d"), Refused: "more than 500000 entries"},
		{Name: "sparse-bomb", Data: sparseImage(t, "sparse-bomb", 1<<50), Refused: "not enough free disk space"},
	}
	for _, tool := range []string{"gzip", "bzip2", "xz"} {
		name := tool + "-bomb"
		data := compressed(t, name, tool, 0, "")
		all = append(
			all,
			Vector{Name: name + "-on-tight-disk", Image: name, Where: TightDisk, Data: data, Refused: "not enough free disk space"},
			Vector{Name: name + "-beyond-limit", Image: name, Where: SizeLimit, Data: data, Refused: "image too large: it has more than the 16777216 bytes that images may have"},
		)
	}
	return all
}

// compressed returns an image compressed with a tool: a file of more zeros than
// there is room for, or so many entries for one directory.
func compressed(t testing.TB, name, tool string, entries int, dir string) []byte {
	t.Helper()
	pr, pw := io.Pipe()
	go func() { _ = pw.CloseWithError(bomb(t, pw, name, entries, dir)) }()
	defer pr.Close()
	return compress(t, tool, pr)
}

// compress returns what a tool makes of something.
func compress(t testing.TB, tool string, from io.Reader) []byte {
	t.Helper()
	var out bytes.Buffer
	if tool == "gzip" {
		w, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed)
		if _, err := io.Copy(w, from); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	cmd := exec.Command(tool, "-1", "-c")
	cmd.Stdin, cmd.Stdout = from, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	return out.Bytes()
}

func bomb(t testing.TB, w io.Writer, name string, entries int, dir string) error {
	t.Helper()
	if entries > 0 {
		image := imagetest.ACI(t, manifest(name), imagetest.Dir(dir))
		head, entry := image[:len(image)-3*block], image[len(image)-3*block:len(image)-2*block]
		many := bytes.Repeat(entry, 1000)
		if _, err := w.Write(head); err != nil {
			return err
		}
		for range entries / 1000 {
			if _, err := w.Write(many); err != nil {
				return err
			}
		}
		_, err := w.Write(make([]byte, 2*block))
		return err
	}
	const size = 2 * TightRoom
	image := patched(t, name, imagetest.File("rootfs/zeros", ""), func(h []byte) { copy(h[124:136], fmt.Sprintf("%011o\x00", size)) })
	if _, err := w.Write(image[:len(image)-2*block]); err != nil {
		return err
	}
	zeros := make([]byte, 1<<20)
	for range size>>20 + 1 {
		if _, err := w.Write(zeros); err != nil {
			return err
		}
	}
	return nil
}
