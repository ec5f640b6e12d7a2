//go:build fault

package store_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"rkt/internal/image/imagetest"
	"rkt/internal/image/store"
)

// faultImages returns what the process that is killed works with.
func faultImages(t testing.TB) (app, again, stage1Image []byte) {
	app = image(t, "example.com/a", "1.0")
	return imagetest.Gzip(t, app), app, stage1(t)
}

// TestFaultHelper is the process that is killed: it goes through all changes
// that a store knows.
func TestFaultHelper(t *testing.T) {
	dir := os.Getenv("STORE_FAULT_DIR")
	if dir == "" {
		t.Skip("only for TestFaults")
	}
	s := open(t, dir)
	app, again, stage1Image := faultImages(t)
	signed := store.Origin{Signature: []byte("sig"), SignedBy: "abcd"}
	img := mustImport(t, s, app, store.Origin{Render: true})
	mustImport(t, s, again, signed) // other bytes of the same image
	d, err := s.Disk(context.Background(), img.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.Path, 4096); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Disk(context.Background(), img.ID); err != nil {
		t.Fatal(err)
	}
	root := mustImport(t, s, stage1Image, store.Origin{})
	if _, err := s.Tree(context.Background(), root.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(img.ID); err != nil {
		t.Fatal(err)
	}
}

// runHelper runs the helper on an empty store and returns it, and whether the
// helper was killed.
func runHelper(t *testing.T, env ...string) (dir string, killed bool) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	cmd := exec.Command(os.Args[0], "-test.run=^TestFaultHelper$")
	cmd.Env = append(os.Environ(), append(env, "STORE_FAULT_DIR="+dir)...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return dir, true
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir, false
}

// TestFaults kills a process at every point where it matters. Whoever comes
// next must find every image whole or not at all, nothing left over, and must
// be able to do everything again.
func TestFaults(t *testing.T) {
	needRoot(t)
	log := filepath.Join(t.TempDir(), "points")
	if _, killed := runHelper(t, "RKT_FAULT_LOG="+log); killed {
		t.Fatal("killed without a reason")
	}
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	points := strings.Fields(string(b))
	slices.Sort(points)
	points = slices.Compact(points)
	if len(points) < 16 {
		t.Errorf("only %d points: %v", len(points), points)
	}
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			dir, killed := runHelper(t, "RKT_FAULT="+point)
			if !killed {
				t.Fatal("not killed")
			}
			checkAfterCrash(t, dir)
		})
	}
}

func checkAfterCrash(t *testing.T, dir string) {
	t.Helper()
	s := open(t, dir)
	images, damaged, err := s.List(context.Background())
	if err != nil || len(damaged) > 0 {
		t.Fatalf("%v, %v", damaged, err)
	}
	known := make(map[string]bool)
	for _, img := range images {
		known[img.ID] = true
		if img.Manifest.Name != "example.com/a" {
			continue
		}
		if _, err := s.Disk(context.Background(), img.ID); err != nil {
			t.Error(err)
		}
	}
	for _, name := range files(t, dir) {
		parts := strings.Split(name, "/")
		id := strings.TrimSuffix(parts[len(parts)-1], ".asc")
		kept := parts[1] == "disk" || parts[1] == "tree"
		if strings.Contains(name, ".tmp-") || strings.Contains(parts[1], "locks") || !kept && !known[id] {
			t.Errorf("left: %s", name)
		}
	}
	app, again, stage1Image := faultImages(t)
	for _, b := range [][]byte{app, again} {
		img := mustImport(t, s, b, store.Origin{})
		d, err := s.Disk(context.Background(), img.ID)
		if err != nil {
			t.Fatal(err)
		}
		if content, err := os.ReadFile(d.Path); err != nil || !bytes.Contains(content, []byte("example.com/a")) {
			t.Errorf("the disk is not whole: %v", err)
		}
		if err := s.Remove(img.ID); err != nil {
			t.Error(err)
		}
	}
	tree, err := s.Tree(context.Background(), mustImport(t, s, stage1Image, store.Origin{}).ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Program("/bin/app"); err != nil { // the last entry
		t.Error(err)
	}
}
