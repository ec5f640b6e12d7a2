package stories_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var soak = flag.Bool("soak", false, "let the storm rage for a minute")

const (
	stormProcesses = 8
	stormStrikes   = 15 // of each process, unless it is a soak
	stormSoak      = time.Minute
)

// strike is a command of the storm. Words that begin with @ are chosen anew each
// time.
type strike struct {
	args string
	// errors are what it may say when it fails, because of what others do.
	errors []string
}

// ordinary is what is said whether a command works or not.
var ordinary = regexp.MustCompile(`^(image: |Downloading |hint: |  CoreOS ACI Builder|  Story Teller)`)

// gone is what is said of an image that somebody has removed, or that depends on
// one which was removed.
const gone = `^[a-z]+: image ".*: no image IDs found$`

// removed is what is said once an image was removed as often as it was fetched.
const removed = `^[a-z]+: image ".*": it was removed from the store while it was fetched$`

// strikes is what the processes of a storm do, each as often as it is listed.
func strikes() []strike {
	return []strike{
		{args: "fetch coreos.com/top", errors: []string{removed}},
		{args: "fetch --pull-policy=new coreos.com/top coreos.com/etcd:v2.0.9", errors: []string{removed}},
		{args: "fetch https://coreos.com/images/coreos.com/base.aci"},
		{args: "fetch @file"},
		{args: "run coreos.com/top", errors: []string{removed}},
		{args: "run @file"},
		{args: "run --pull-policy=update coreos.com/etcd:v2.0.9", errors: []string{removed}},
		{args: "image rm @name", errors: []string{gone, `^rm: 1 image\(s\) cannot be removed$`}},
		{args: "image rm @name", errors: []string{gone, `^rm: 1 image\(s\) cannot be removed$`}},
		{args: "image gc --grace-period=0s"},
		{args: "gc --grace-period=0s"},
		{args: "image verify @name", errors: []string{gone, `^verify: 1 image\(s\) failed verification$`}},
		{args: "image export --overwrite @name @out", errors: []string{gone}},
		{args: "image list"},
		{args: "list"},
	}
}

// storm lets many processes use one store at once, in ways that get in each
// other's way. Whatever fails must say why, and the store must be whole.
func storm(t *testing.T, w *world) {
	t.Helper()
	w.publishDiamond(t)
	w.must(t, "trust", "--root", "--skip-fingerprint-review", filepath.Join(w.site, keyFile))
	w.must(t, "trust", "--root", "--skip-fingerprint-review", w.images+"/key")
	end := time.Now().Add(stormSoak)
	var all sync.WaitGroup
	var tally tally
	for process := range stormProcesses {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(process), 1)) //nolint:gosec // the same storm each time
			for i := 0; *soak && time.Now().Before(end) || !*soak && i < stormStrikes; i++ {
				s := strikes()[random.IntN(len(strikes()))]
				tally.add(s.args, w.strike(t, s, process, random))
			}
		})
	}
	all.Wait()
	t.Log(tally.String())
	w.calm(t)
}

// strike runs a command of the storm and looks at what it says. It tells whether
// the command has worked.
func (w *world) strike(t *testing.T, s strike, process int, random *rand.Rand) bool {
	t.Helper()
	names := []string{"coreos.com/top", "coreos.com/left", "coreos.com/right", "coreos.com/base", "coreos.com/etcd", "example.com/app"}
	files := []string{"app.aci", "gzip.aci", "second.aci"}
	args := strings.NewReplacer(
		"@name", names[random.IntN(len(names))],
		"@file", filepath.Join(w.images, files[random.IntN(len(files))]),
		"@out", fmt.Sprintf("out-%d.aci", process),
	).Replace(s.args)
	cmd := w.inside(t, strings.Fields(args)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	_, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return true
	case !errors.As(err, &exit) || exit.ExitCode() != 254:
		t.Errorf("rkt %s: %v\n%s", args, err, &stderr)
	default:
		for line := range strings.Lines(stderr.String()) {
			line = strings.TrimSuffix(line, "\n")
			known := slices.ContainsFunc(s.errors, func(want string) bool { return regexp.MustCompile(want).MatchString(line) })
			if !known && !ordinary.MatchString(line) {
				t.Errorf("rkt %s says %q in\n%s", args, line, &stderr)
			}
		}
	}
	return false
}

// calm shows that a storm has left a store that works and is whole.
func (w *world) calm(t *testing.T) {
	t.Helper()
	w.must(t, "gc", "--grace-period=0s")
	for _, id := range strings.Fields(w.must(t, "image", "list", "--full", "--no-legend", "--fields=id")) {
		w.must(t, "image", "verify", id)
	}
	w.steps(t, []step{{"run coreos.com/top", 0, ""}, {"run coreos.com/etcd:v2.0.9", 0, ""}})
	w.must(t, "run", w.images+"/app.aci")
	w.must(t, "gc", "--grace-period=0s")
	w.must(t, "image", "gc", "--grace-period=0s")
	if err := errors.Join(leftovers(w.dir+"/data"), emptyStore(w.dir+"/data")); err != nil {
		t.Error(err)
	}
}

// emptyStore returns an error about every file that is in a store. There must be
// none once all images are removed.
func emptyStore(data string) error {
	var errs []error
	err := filepath.WalkDir(filepath.Join(data, "cas"), func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			errs = append(errs, fmt.Errorf("left in the store: %s", path))
		}
		return err
	})
	return errors.Join(append(errs, err)...)
}

// tally counts what has worked and what has not.
type tally struct {
	mu   sync.Mutex
	runs map[string][2]int
}

func (c *tally) add(what string, worked bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.runs == nil {
		c.runs = make(map[string][2]int)
	}
	n := c.runs[what]
	n[0]++
	if worked {
		n[1]++
	}
	c.runs[what] = n
}

func (c *tally) String() string {
	var lines []string
	for what, n := range c.runs {
		lines = append(lines, fmt.Sprintf("%3d of %3d worked: rkt %s", n[1], n[0], what))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
