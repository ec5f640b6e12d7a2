package vectors

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"rkt/test/hostile"
)

// compare looks at one file of an unpacked image.
func compare(t *testing.T, dir, name string, want hostile.File) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	info, err := root.Lstat(name)
	if err != nil {
		t.Error(err)
		return
	}
	if want.Type == 0 {
		other, err := root.Lstat(want.Link)
		if err != nil || !os.SameFile(info, other) {
			t.Errorf("%q is not %q: %v", name, want.Link, err)
		}
		return
	}
	parent, err := root.Open(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	defer parent.Close()
	var st unix.Stat_t
	if err := unix.Fstatat(int(parent.Fd()), filepath.Base(name), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		t.Fatal(err)
	}
	kinds := map[uint32]byte{
		unix.S_IFREG: tar.TypeReg, unix.S_IFDIR: tar.TypeDir, unix.S_IFLNK: tar.TypeSymlink,
		unix.S_IFCHR: tar.TypeChar, unix.S_IFBLK: tar.TypeBlock, unix.S_IFIFO: tar.TypeFifo,
	}
	got := hostile.File{
		Type: kinds[st.Mode&unix.S_IFMT], Mode: int64(st.Mode &^ unix.S_IFMT), Owner: int(st.Uid), Link: want.Link, Content: want.Content,
		Device: [2]int64{int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))}, Xattrs: want.Xattrs, Size: want.Size,
	}
	if got.Type == tar.TypeSymlink {
		got.Mode = want.Mode
		if got.Link, err = root.Readlink(name); err != nil {
			t.Error(err)
		}
	}
	if got.Type == tar.TypeReg {
		look(t, root, name, &got, want)
	}
	if fmt.Sprintf("%q", fmt.Sprint(got)) != fmt.Sprintf("%q", fmt.Sprint(want)) {
		t.Errorf("%q is %+v, want %+v", name, got, want)
	}
}

// look fills in what is in a file.
func look(t *testing.T, root *os.Root, name string, got *hostile.File, want hostile.File) {
	t.Helper()
	f, err := root.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if want.Size > 0 {
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if got.Size = info.Size(); info.Sys() != nil {
			var st unix.Stat_t
			if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Blocks*block > 1<<20 {
				t.Errorf("%q takes %d bytes on the disk: %v", name, st.Blocks*block, err)
			}
		}
		return
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(f); err != nil {
		t.Error(err)
	}
	got.Content = b.String()
	if want.Xattrs == nil {
		return
	}
	got.Xattrs = make(map[string]string)
	for key := range want.Xattrs {
		value := make([]byte, 256)
		n, err := unix.Fgetxattr(int(f.Fd()), key, value)
		if errors.Is(err, unix.ENOTSUP) {
			got.Xattrs[key] = want.Xattrs[key] // the file system of the test has none
			continue
		}
		if err != nil {
			t.Errorf("attribute %s of %q: %v", key, name, err)
			continue
		}
		got.Xattrs[key] = string(value[:n])
	}
}

const block = 512
