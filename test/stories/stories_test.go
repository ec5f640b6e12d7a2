package stories_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"rkt/internal/linux"
	"rkt/internal/linux/linuxtest"
)

// patience bounds waiting for something that takes no time on a machine that has
// nothing else to do.
const patience = 5 * time.Minute

// programs holds rkt, its stage1 image beside it, and the images of the
// stories.
type programs struct {
	rkt      string
	images   string
	internet string
}

// build makes everything once for all stories.
func build(t *testing.T, tags string) programs {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("rkt run needs root: run this test as root")
	}
	dir := t.TempDir()
	// Somebody who is not root is to run rkt, too.
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	p := programs{rkt: filepath.Join(dir, "rkt"), images: filepath.Join(dir, "images"), internet: filepath.Join(dir, "internet")}
	stage1 := filepath.Join(dir, "stage1-script")
	goBuild(t, tags, "rkt/cmd/rkt", p.rkt)
	goBuild(t, tags, "rkt/test/stage1-script", stage1)
	goBuild(t, tags, "rkt/test/internet", p.internet)
	if err := os.Mkdir(p.images, 0o755); err != nil {
		t.Fatal(err)
	}
	makeImages(t, p.images, stage1)
	if err := os.Link(filepath.Join(p.images, "stage1.aci"), filepath.Join(dir, "stage1.aci")); err != nil {
		t.Fatal(err)
	}
	return p
}

func goBuild(t *testing.T, tags, pkg, to string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", tags, "-o", to,
		"-ldflags", "-X rkt/internal/version.Version=1.2.3+test -X rkt/internal/version.DefaultStage1File=stage1.aci", pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
}

// wrapper is what a story calls rkt: the program with directories of its own.
const wrapper = `#!/bin/sh
exec %s --dir=$WORK/data --local-config=$WORK/etc --system-config=$WORK/usr "$@"
`

func TestStories(t *testing.T) {
	t.Parallel()
	p := build(t, "")
	t.Run("GroupMembers", func(t *testing.T) { groupMembers(t, p) })
	t.Run("OnlyRootRuns", func(t *testing.T) { onlyRootRuns(t, p) })
	t.Run("ReviewKey", func(t *testing.T) { reviewKey(t, p) })
	t.Run("TrustOverHTTPS", func(t *testing.T) { trustOverHTTPS(t, p) })
	t.Run("CompletesInBash", func(t *testing.T) { completesInBash(t, p) })
	t.Run("TabKey", func(t *testing.T) { tabKey(t, p) })
	t.Run("ByName", func(t *testing.T) { byName(t, p) })
	t.Run("Stage1ByName", func(t *testing.T) { stage1ByName(t, p) })
	t.Run("FetchByURL", func(t *testing.T) { fetchByURL(t, p) })
	t.Run("Interrupted", func(t *testing.T) { interrupted(t, p) })
	t.Run("Resumed", func(t *testing.T) { resumed(t, p) })
	t.Run("FetchTogether", func(t *testing.T) { fetchTogether(t, p) })
	t.Run("Storm", func(t *testing.T) { storm(t, newWorld(t, p)) })
	t.Run("ManyAtOnce", func(t *testing.T) { manyAtOnce(t, p) })
	testscript.Run(t, testscript.Params{
		Dir: ".",
		Setup: func(env *testscript.Env) error {
			bin := filepath.Join(env.WorkDir, "bin")
			env.Setenv("IMAGES", p.images)
			env.Setenv("RKT", p.rkt)
			env.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			return errors.Join(os.Mkdir(bin, 0o755), os.Chmod(env.WorkDir, 0o755),
				linuxtest.WriteProgram(filepath.Join(bin, "rkt"), fmt.Appendf(nil, wrapper, p.rkt)))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await":   await,
			"capture": capture,
			"exits":   exits,
			"nopods":  noPods,
		},
	})
}

// exits STATUS COMMAND… runs a command that must end with the status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if neg || err != nil {
		ts.Fatalf("usage: exits STATUS COMMAND…")
	}
	got := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// capture NAME REGEXP sets the variable NAME to what the last stdout has that
// matches, or to what is in the first parentheses.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME REGEXP")
	}
	found := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if found == nil {
		ts.Fatalf("nothing in stdout matches %s", args[1])
	}
	ts.Setenv(args[0], found[len(found)-1])
}

// await FILE waits until somebody has made the file.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await FILE")
	}
	path := ts.MkAbs(args[0])
	ts.Check(awaitEntries(filepath.Dir(path), func(entries []os.DirEntry) bool {
		return slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == filepath.Base(path) })
	}))
}

// awaitEntries waits until the entries of a directory are as wanted.
func awaitEntries(dir string, wanted func([]os.DirEntry) bool) error {
	watch, err := linux.NewWatch()
	if err != nil {
		return err
	}
	defer watch.Close()
	if err := watch.Add(dir); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		entries, err := os.ReadDir(dir)
		if err != nil || wanted(entries) {
			return err
		}
		if err := watch.Wait(ctx); err != nil {
			return err
		}
	}
}

// noPods makes sure that no pod and nothing unfinished is on disk.
func noPods(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(leftovers(ts.MkAbs("data")))
}

// leftovers looks for what a pod or a killed rkt may leave below a data
// directory.
func leftovers(data string) error {
	var errs []error
	pods, err := filepath.Glob(filepath.Join(data, "pods", "*", "*"))
	errs = append(errs, err)
	for _, path := range pods {
		errs = append(errs, fmt.Errorf("left behind: %s", path))
	}
	err = filepath.WalkDir(data, func(path string, _ os.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), ".tmp-") {
			errs = append(errs, fmt.Errorf("left behind: %s", path))
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
	mounts, mountsErr := os.ReadFile("/proc/self/mounts")
	if strings.Contains(string(mounts), data) {
		errs = append(errs, fmt.Errorf("something is mounted below %s", data))
	}
	return errors.Join(append(errs, err, mountsErr)...)
}

func onlyRootRuns(t *testing.T, p programs) {
	t.Helper()
	for _, args := range [][]string{{"run", "image"}, {"gc"}, {"rm", "0000"}} {
		cmd := exec.CommandContext(t.Context(), p.rkt, args...)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, _ := cmd.CombinedOutput()
		want := args[0] + ": cannot run as unprivileged user\n"
		if cmd.ProcessState.ExitCode() != 254 || string(out) != want {
			t.Errorf("rkt %v: status %d, %q, want %q", args, cmd.ProcessState.ExitCode(), out, want)
		}
	}
}
