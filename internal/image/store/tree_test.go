package store_test

import (
	"archive/tar"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"rkt/internal/image/archive"
	"rkt/internal/image/imagetest"
	"rkt/internal/image/store"
)

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to give files away")
	}
}

func stage1(t testing.TB) []byte {
	suid := imagetest.Program("rootfs/machine/suid", "x")
	suid.Mode, suid.Uid, suid.Gid = 0o4711, 1000, 1001
	archive.SetXattr(&suid.Header, "user.k", "v")
	closed := imagetest.Dir("rootfs/closed")
	closed.Mode = 0o555
	holes := imagetest.File("rootfs/guest.img", strings.Repeat("\x00", 1<<20)+"end")
	return image(t, "example.com/stage1", "1.0", closed, imagetest.File("rootfs/closed/f", ""), suid, holes,
		imagetest.Program("rootfs/stage1", "#!"), imagetest.Hardlink("rootfs/run", "rootfs/stage1"),
		imagetest.Symlink("rootfs/gc", "stage1"), imagetest.Symlink("rootfs/abs", "/stage1"),
		imagetest.Symlink("rootfs/out", "../../../../../../bin/sh"), imagetest.Device("rootfs/null", 1, 3), imagetest.Fifo("rootfs/fifo"))
}

func TestTree(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s, dir := newStore(t)
	img := mustImport(t, s, imagetest.Gzip(t, stage1(t)), store.Origin{})
	tree, err := s.Tree(context.Background(), img.ID)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.Tree(context.Background(), img.ID); err != nil || again != tree {
		t.Errorf("%+v, %v", again, err)
	}
	if same, err := s.OpenTree(tree.ID); err != nil || same != tree {
		t.Errorf("%+v, %v", same, err)
	}
	for path, mode := range map[string]os.FileMode{
		filepath.Join(dir, "cas/tree"):     os.ModeDir | 0o711,
		tree.Path:                          os.ModeDir | 0o755,
		tree.Path + "/rootfs":              os.ModeDir | 0o755,
		tree.Path + "/rootfs/closed":       os.ModeDir | 0o555,
		tree.Path + "/manifest":            0o644,
		tree.Path + "/rootfs/machine/suid": os.ModeSetuid | 0o711,
		tree.Path + "/rootfs/null":         os.ModeDevice | os.ModeCharDevice | 0o600,
		tree.Path + "/rootfs/fifo":         os.ModeNamedPipe | 0o600,
		tree.Path + "/rootfs/bin":          os.ModeDir | 0o755,
	} {
		info, err := os.Lstat(path)
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, mode)
		}
	}
	if b, err := os.ReadFile(tree.Path + "/manifest"); err != nil || string(b) != string(img.ManifestJSON) {
		t.Errorf("manifest %s, %v", b, err)
	}
	checkStat(t, tree.Path+"/rootfs/machine/suid", func(st *syscall.Stat_t) bool { return st.Uid == 1000 && st.Gid == 1001 })
	checkStat(t, tree.Path+"/rootfs/run", func(st *syscall.Stat_t) bool { return st.Nlink == 2 })
	checkStat(t, tree.Path+"/rootfs/guest.img", func(st *syscall.Stat_t) bool { return st.Size == 1<<20+3 && st.Blocks < 64 })
	checkStat(t, tree.Path+"/rootfs/closed", func(st *syscall.Stat_t) bool { return st.Mtim.Sec == imagetest.Epoch().Unix() })
	xattr := make([]byte, 10)
	if n, err := syscall.Getxattr(tree.Path+"/rootfs/machine/suid", "user.k", xattr); err != nil && !errors.Is(err, syscall.ENOTSUP) || err == nil && string(xattr[:n]) != "v" {
		t.Errorf("xattr %q, %v", xattr[:max(n, 0)], err)
	}
}

func checkStat(t *testing.T, path string, ok func(*syscall.Stat_t) bool) {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil || !ok(&st) {
		t.Errorf("%s: %+v, %v", path, st, err)
	}
}

func TestProgram(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s, _ := newStore(t)
	tree, err := s.Tree(context.Background(), mustImport(t, s, stage1(t), store.Origin{}).ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/run", "run", "/gc", "//stage1"} {
		got, err := tree.Program(path)
		if err != nil || !strings.HasPrefix(got, tree.Path+"/rootfs/") {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	for _, path := range []string{"/missing", "/", "", "/abs", "/out", "/../../../bin/sh", "/closed/f", "/machine", "/null", "/fifo"} {
		if got, err := tree.Program(path); err == nil {
			t.Errorf("%q: %q", path, got)
		}
	}
}

func TestOpenTree(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	for _, id := range []string{"", ".", "..", "../index", "deps-../../x", "deps-sha512-" + strings.Repeat("0", 64)} {
		if _, err := s.OpenTree(id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// TestTreeConcurrently shows that only whole trees are ever seen.
func TestTreeConcurrently(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s, dir := newStore(t)
	img := mustImport(t, s, stage1(t), store.Origin{})
	var users sync.WaitGroup
	for range 6 {
		users.Go(func() {
			tree, err := s.Tree(context.Background(), img.ID)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := tree.Program("/bin/app"); err != nil { // the last entry
				t.Error(err)
			}
		})
	}
	users.Wait()
	if entries, err := os.ReadDir(filepath.Join(dir, "cas/tree")); len(entries) != 1 || err != nil {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestTreeWithDuplicates(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s, _ := newStore(t)
	link := imagetest.Symlink("rootfs/a", "/etc/passwd")
	link.Typeflag = tar.TypeSymlink
	img := mustImport(t, s, image(t, "example.com/s", "1", imagetest.File("rootfs/a", "1"), link, imagetest.File("rootfs/a", "2")), store.Origin{})
	tree, err := s.Tree(context.Background(), img.ID)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(tree.Path + "/rootfs/a"); err != nil || string(b) != "2" {
		t.Errorf("%q, %v", b, err)
	}
}
