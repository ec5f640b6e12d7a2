package linux_test

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"rkt/internal/linux"
)

func TestCopySparse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src, err := os.Create(filepath.Join(dir, "src"))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	page := bytes.Repeat([]byte("x"), 4096)
	for _, offset := range []int64{0, 1 << 20} {
		if _, err := src.WriteAt(page, offset); err != nil {
			t.Fatal(err)
		}
	}
	dst, err := os.Create(filepath.Join(dir, "dst"))
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()

	const size = 64 << 20
	if err := linux.CopySparse(dst, src, size); err != nil {
		t.Fatal(err)
	}
	info, err := dst.Stat()
	if err != nil {
		t.Fatal(err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("no stat")
	}
	if info.Size() != size || stat.Blocks*512 > 1<<20 {
		t.Errorf("size %d, %d bytes on disk", info.Size(), stat.Blocks*512)
	}
	got := make([]byte, 4096)
	if _, err := dst.ReadAt(got, 1<<20); err != nil || !bytes.Equal(got, page) {
		t.Errorf("data at 1 MiB differs (%v)", err)
	}
	if _, err := dst.ReadAt(got, 2<<20); err != nil || !bytes.Equal(got, make([]byte, 4096)) {
		t.Errorf("hole at 2 MiB is not zero (%v)", err)
	}
}
