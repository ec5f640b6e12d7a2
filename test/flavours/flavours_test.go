package flavours

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"rkt/internal/image/imagetest"
)

// soak is for a run by hand: much data rather than some, and times count.
var soak = flag.Bool("soak", false, "send 1 GiB through commands, and judge how soon rkt answers")

// TestFlavours tries every behaviour with every stage1 that was given.
func TestFlavours(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Fatal("must run as root")
	}
	s, dir := newSuite(t)
	ready := os.Getenv("RKT_TEST_DATA")
	for _, word := range strings.Split(os.Getenv("RKT_TEST_STAGE1S"), ",") {
		name, stage1, _ := strings.Cut(word, "=")
		i := slices.IndexFunc(All(), func(f Flavour) bool { return f.Name == name })
		if i < 0 {
			t.Fatalf("RKT_TEST_STAGE1S: %q does not begin with the name of a flavour", word)
		}
		data := filepath.Join(dir, "data-"+name)
		if ready != "" {
			if out, err := exec.CommandContext(t.Context(), "cp", "-a", ready, data).CombinedOutput(); err != nil {
				t.Fatalf("copy %s: %v: %s", ready, err, out)
			}
		}
		t.Run(name, func(t *testing.T) {
			p := &place{T: t, suite: s, data: data}
			if ready == "" {
				p.rkt("stage1", "check", stage1)
			}
			for _, b := range Behaviours() {
				if b.Without[name] != "" {
					continue // docs/flavours.md says so
				}
				t.Run(b.Name, func(t *testing.T) {
					b.check(&place{T: t, suite: s, flavour: All()[i], stage1: stage1, data: data, dir: t.TempDir()})
				})
			}
			p.rkt("gc", "--grace-period=0s")
			if left := leftBy(data, "*"); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// TestShell runs pods in a stage1 that was made from docs/stage1.md alone: three
// shell scripts that speak an older version of the contract.
func TestShell(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Fatal("must run as root")
	}
	s, dir := newSuite(t)
	stage1, data := filepath.Join(dir, "shell.aci"), filepath.Join(dir, "data")
	if err := os.WriteFile(stage1, shellImage(t), 0o600); err != nil {
		t.Fatal(err)
	}
	flavour := Flavour{Name: "shell", Title: "shell scripts", Isolation: "none"}
	p := &place{T: t, suite: s, data: data}
	p.rkt("stage1", "check", stage1)
	does := []string{"Output", "ExitStatus", "Signal", "Isolation", "Writable", "Stop", "FirstFailure"}
	for _, b := range Behaviours() {
		if !slices.Contains(does, b.Name) {
			continue
		}
		t.Run(b.Name, func(t *testing.T) {
			b.check(&place{T: t, suite: s, flavour: flavour, stage1: stage1, data: data, dir: t.TempDir()})
		})
	}
	p.rkt("gc", "--grace-period=0s")
	if left := leftBy(data, "*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func shellImage(t *testing.T) []byte {
	t.Helper()
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join("../stage1-shell", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	var entries []imagetest.Entry
	for _, name := range []string{"run", "stop", "gc"} {
		entries = append(entries, imagetest.Program("rootfs/"+name, read(name)))
	}
	return imagetest.ACI(t, strings.ReplaceAll(read("manifest.in"), "@ARCH@", runtime.GOARCH), entries...)
}

func newSuite(t *testing.T) (*suite, string) {
	t.Helper()
	// A pod's uid gets through, and a socket's address has room for its path.
	dir, err := os.MkdirTemp("", "flavours")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // nothing in it is secret
		t.Fatal(err)
	}
	s := &suite{
		rkt: os.Getenv("RKT_TEST_RKT"), image: filepath.Join(dir, "app.aci"), strict: filepath.Join(dir, "strict.aci"),
		handlers: filepath.Join(dir, "handlers.aci"), failing: filepath.Join(dir, "failing.aci"),
		execBytes: 8 << 20,
	}
	if s.rkt == "" || os.Getenv("RKT_TEST_STAGE1S") == "" {
		t.Fatal("RKT_TEST_RKT and RKT_TEST_STAGE1S must be set, see the package")
	}
	if *soak {
		s.execBytes, s.soak = 1<<30, true
	}
	program := probe(t, dir)
	for path, more := range map[string]string{
		s.image: "", s.strict: `,"isolators":[{"name":"os/linux/no-new-privileges","value":true}]`,
		s.handlers: `,"eventHandlers":[{"name":"pre-start","exec":["/probe","facts"]},{"name":"post-stop","exec":["/probe","facts"]}]`,
		s.failing:  `,"eventHandlers":[{"name":"pre-start","exec":["/probe","exit","3"]}]`,
	} {
		if err := os.WriteFile(path, appImage(t, program, more), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s, dir
}

// probe returns the program of the test image.
func probe(t *testing.T, dir string) string {
	t.Helper()
	path := os.Getenv("RKT_TEST_PROBE")
	if path == "" {
		path = filepath.Join(dir, "probe")
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "rkt/test/probe")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build the probe: %v\n%s", err, out)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func appImage(t *testing.T, program, more string) []byte {
	t.Helper()
	app := fmt.Sprintf(`"app":{"exec":["/probe"],"user":"0","group":"0"%s}`, more)
	return imagetest.ACI(t, imagetest.Manifest("example.com/probe", "1.0.0", nil, app),
		imagetest.Program("rootfs/probe", program), imagetest.Dir("rootfs/etc"),
		imagetest.File("rootfs/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nalice:x:1234:1235:Alice:/home/alice:/bin/sh\n"),
		owned(),
		imagetest.File("rootfs/etc/group", "root:x:0:\nalice:x:1235:\nstaff:x:1300:alice\n"))
}

// owned is a file that belongs to alice.
func owned() imagetest.Entry {
	e := imagetest.File("rootfs/etc/owned", "")
	e.Header.Uid, e.Header.Gid = 1234, 1235
	return e
}

// TestWithout holds the table to what flavours may be without.
func TestWithout(t *testing.T) {
	t.Parallel()
	allowed := []string{oneApp, noIsolators, noNetwork, noIsolation}
	for _, b := range Behaviours() {
		for flavour, why := range b.Without {
			if flavour != Fly || !slices.Contains(allowed, why) {
				t.Errorf("%s: %s must not be without it (%s)", b.Name, flavour, why)
			}
		}
	}
}
