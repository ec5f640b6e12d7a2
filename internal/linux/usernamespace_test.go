package linux_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"rkt/internal/linux"
)

func TestShift(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root to mount")
	}
	const first, count = 1 << 20, 1 << 16
	namespace, err := linux.UserNamespace(first, count)
	if err != nil {
		t.Fatal(err)
	}
	defer namespace.Close()
	dir := t.TempDir()
	for name, uid := range map[string]int{"root": 0, "user": 1234, "last": count - 1, "beyond": count} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, uid, uid)); err != nil {
			t.Fatal(err)
		}
	}
	opened, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	mount, err := linux.Bind(opened, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer mount.Close()
	if err := linux.Shift(mount, namespace); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	for name, want := range map[string]uint32{"root": first, "user": first + 1234, "last": first + count - 1, "beyond": nobody} {
		var st unix.Stat_t
		if err := unix.Fstatat(int(mount.Fd()), name, &st, 0); err != nil || st.Uid != want || st.Gid != want {
			t.Errorf("%s belongs to %d:%d, %v; want %d", name, st.Uid, st.Gid, err, want)
		}
	}
	if err := linux.Shift(mount, namespace); err == nil {
		t.Error("a mount was shifted twice")
	}
}

func TestShiftWhatCannotBe(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root to mount")
	}
	namespace, err := linux.UserNamespace(1<<20, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer namespace.Close()
	mount, err := linux.Filesystem{Type: "proc"}.Mount()
	if err != nil {
		t.Fatal(err)
	}
	defer mount.Close()
	if err := linux.Shift(mount, namespace); !errors.Is(err, unix.EINVAL) {
		t.Errorf("error %v", err)
	}
}

func TestUserNamespaceOfNoIDs(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root to give ids away")
	}
	if _, err := linux.UserNamespace(1<<20, 0); err == nil {
		t.Error("a namespace was made")
	}
}

func TestOwnUsers(t *testing.T) {
	t.Parallel()
	ids, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Skip("this kernel has no user namespaces")
	}
	own, err := linux.OwnUsers()
	if first := string(ids) == "         0          0 4294967295\n"; own == first || err != nil {
		t.Errorf("%v, %v with the ids %q", own, err, ids)
	}
}
