package linux_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"rkt/internal/linux"
)

func TestMountPrepareAttach(t *testing.T) {
	needRoot(t)
	t.Parallel()
	target := t.TempDir()
	mount, err := linux.Filesystem{Type: "tmpfs", Options: []string{"mode=755", "size=64k"}, Attrs: linux.NoSUID}.Mount()
	if err != nil {
		t.Fatal(err)
	}
	tree := linux.RootAt(mount)
	defer tree.Close()
	if err := tree.MakeDevice("null", 1, 3, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := tree.Symlink("null", "link"); err != nil {
		t.Fatal(err)
	}
	at, err := os.Open(target)
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	if err := linux.Attach(mount, at); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := linux.Unmount(target); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(target, "link"), []byte("x"), 0); err != nil {
		t.Errorf("write to the device through the link: %v", err)
	}
	if err := linux.Restrict(mount, linux.ReadOnly|linux.NoDev); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(target, "file"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("write to a read-only mount: %v", err)
	}
}

func TestBindIsReadOnly(t *testing.T) {
	needRoot(t)
	t.Parallel()
	source, target := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "target")
	write(t, source)
	write(t, target)
	from, err := os.Open(source)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.Open(target)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	mount, err := linux.Bind(from, linux.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer mount.Close()
	if err := linux.Attach(mount, to); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := linux.Unmount(target); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(target, nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("write through a read-only bind: %v", err)
	}
	if err := os.WriteFile(source, nil, 0o600); err != nil {
		t.Errorf("the source is read-only as well: %v", err)
	}
}

func TestMountErrorsNameTheCause(t *testing.T) {
	needRoot(t)
	t.Parallel()
	_, err := linux.Filesystem{Type: "nosuchfs"}.Mount()
	if !errors.Is(err, unix.ENODEV) {
		t.Errorf("unknown type: %v", err)
	}
	_, err = linux.Filesystem{Type: "tmpfs", Options: []string{"size=never"}}.Mount()
	if !errors.Is(err, unix.EINVAL) {
		t.Errorf("bad option: %v", err)
	}
}

func TestUeventsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	u, err := linux.NewUevents()
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	for {
		if err := u.Wait(ctx); err != nil {
			if !errors.Is(err, why) {
				t.Errorf("Wait = %v", err)
			}
			return
		}
	}
}
