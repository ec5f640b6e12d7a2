package store_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"rkt/internal/errhint"
	"rkt/internal/image/imagetest"
	"rkt/internal/image/store"
)

// TestFullDisk runs TestFullDiskHelper on a disk of 8 MiB, in a mount namespace
// of its own.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	needRoot(t)
	const script = `mount -t tmpfs -o size=8m none "$STORE_FULL_DIR" || exit 32; exec "$1" -test.run='^TestFullDiskHelper$' -test.v`
	cmd := exec.Command("unshare", "--mount", "sh", "-c", script, "sh", os.Args[0])
	cmd.Env = append(os.Environ(), "STORE_FULL_DIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 32 {
		t.Skipf("needs to mount: %s", out)
	}
	if err != nil || !strings.Contains(string(out), "PASS: TestFullDiskHelper") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestFullDiskHelper fills the disk while an image is rendered. The care that
// is usually taken is off, as if somebody else had filled it meanwhile.
func TestFullDiskHelper(t *testing.T) {
	dir := os.Getenv("STORE_FULL_DIR")
	if dir == "" {
		t.Skip("only for TestFullDisk")
	}
	s, err := store.OpenWith(dir+"/data", store.Options{Reserve: -1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 5<<20)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	b := image(t, "example.com/a", "1", imagetest.File("rootfs/noise", string(noise)))
	img := mustImport(t, s, b, store.Origin{})
	before := files(t, dir)
	for what, err := range map[string]error{
		"disk": second(s.Disk(context.Background(), img.ID)), "tree": second(s.Tree(context.Background(), img.ID)),
		"import": second(importImage(s, append(b, make([]byte, 5<<20)...), store.Origin{})),
	} {
		if !errors.Is(err, store.ErrNoSpace) || errhint.Of(err) == "" || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if after := files(t, dir); len(after) != len(before) {
		t.Errorf("left: %v", after)
	}
}
