package vectors

import (
	"archive/tar"
	"strings"
	"testing"

	"rkt/internal/image/imagetest"
)

// images is the table of images.
func images() []vector {
	return []vector{
		{"good", with(), accepted},
		{"gzip", func(t *testing.T) []byte { t.Helper(); return imagetest.Gzip(t, aci(t)) }, accepted},
		{"hard link", with(imagetest.Hardlink("rootfs/again", "rootfs/app")), accepted},
		{"device and fifo", with(imagetest.Device("rootfs/null", 1, 3), imagetest.Fifo("rootfs/fifo")), accepted},
		{"traversal by name", with(imagetest.File("rootfs/../../etc/passwd", "x")), "entry .*passwd"},
		{"absolute name", with(imagetest.File("/etc/passwd", "x")), "entry .*passwd"},
		{"outside rootfs", with(imagetest.File("elsewhere", "x")), `only "manifest" and "rootfs" may be in an image`},
		{"traversal by hard link", with(imagetest.Hardlink("rootfs/x", "../../etc/passwd")), "entry .*rootfs/x"},
		{"traversal by symlink", with(imagetest.Symlink("rootfs/out", "/etc"), imagetest.File("rootfs/out/passwd", "x")), "entry .*passwd"},
		{"unknown type", with(imagetest.Entry{Header: tar.Header{Typeflag: '9', Name: "rootfs/odd"}}), "entry .*odd"},
		{"two manifests", with(imagetest.File("manifest", "{}")), "it has two manifests"},
		{"no manifest", func(t *testing.T) []byte { t.Helper(); return imagetest.Tar(t, imagetest.Dir("rootfs")) }, "it has no manifest"},
		{"no rootfs", func(t *testing.T) []byte {
			t.Helper()
			return imagetest.Tar(t, imagetest.File("manifest", imagetest.Manifest(appName, "1.0", []string{"/app"})))
		}, "it has no rootfs"},
		{"truncated", func(t *testing.T) []byte { t.Helper(); b := aci(t); return b[:len(b)-1024] }, "it is truncated"},
		{"data after the end", func(t *testing.T) []byte { t.Helper(); return append(aci(t), "more"...) }, "data after its end"},
		{"empty", bytesOf(nil), "it is empty"},
		{"nonsense", bytesOf([]byte("hello\n")), "neither a tar archive nor"},
		{"large manifest", func(t *testing.T) []byte {
			t.Helper()
			return imagetest.Tar(t, imagetest.File("manifest", strings.Repeat(" ", 2<<20)), imagetest.Dir("rootfs"))
		}, "the manifest has 2097152 bytes"},
	}
}
