package stories_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// crash is a command that is killed wherever it changes the store.
type crash struct {
	name   string
	before []string // commands that come first, which nobody kills
	spoil  func(w *world) error
	args   string
	// often lets the command be killed at the last passing of each point, too,
	// not only at the first.
	often bool
}

const (
	baseURL  = "https://coreos.com/images/coreos.com/base.aci"
	prepared = "run coreos.com/top"
)

// crashes are the commands that change a store.
func crashes(p programs) []crash {
	return []crash{
		{name: "file", args: "fetch " + p.images + "/app.aci"},
		{name: "file again", before: []string{"fetch " + p.images + "/app.aci"}, args: "fetch " + p.images + "/gzip.aci"},
		{name: "url", args: "fetch " + baseURL},
		{name: "url again", before: []string{"fetch " + baseURL}, args: "fetch " + baseURL},
		{name: "name with dependencies", args: prepared, often: true},
		{name: "key", args: "trust --prefix coreos.com/etcd --skip-fingerprint-review"},
		{name: "damaged disk", before: []string{prepared}, spoil: damageDisks, args: prepared},
		{name: "verify", before: []string{prepared}, spoil: damageDisks, args: "image verify coreos.com/top"},
		{name: "remove", before: []string{prepared}, args: "image rm coreos.com/top coreos.com/base"},
		{name: "collect", before: []string{prepared, "gc --grace-period=0s"}, args: "image gc --grace-period=0s"},
		{name: "export", before: []string{prepared}, args: "image export --overwrite coreos.com/top out.aci"},
		{name: "extract", before: []string{prepared}, args: "image extract --overwrite coreos.com/top out"},
		{name: "render", before: []string{prepared, "image extract coreos.com/top out"}, args: "image render --overwrite coreos.com/top out"},
		{name: "stage1 by name", args: "run --stage1-name=" + stage1Name + ":2.0.0 " + p.images + "/app.aci"},
	}
}

// damageDisks cuts off all rendered disks.
func damageDisks(w *world) error {
	disks, err := filepath.Glob(w.dir + "/data/cas/disk/*/*")
	if len(disks) == 0 {
		err = errors.New("there are no disks to damage")
	}
	for _, path := range disks {
		if info, statErr := os.Stat(path); statErr == nil && info.Size() > 1<<16 {
			err = errors.Join(err, os.Truncate(path, 1<<12))
		}
	}
	return err
}

// storePoint matches the names of the fault points that this is about.
var storePoint = regexp.MustCompile(`^(store|fetch|download|trust|prepare|export)\.|^run\.stage1-record\.`)

// killedWithImages kills commands at every point that they pass where they change
// something about images.
func killedWithImages(t *testing.T, p programs) {
	t.Helper()
	w, _ := newStage1World(t, p)
	whole := newWorld(t, p)
	whole.publishDiamond(t)
	if err := os.CopyFS(whole.site, os.DirFS(w.site)); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	whole.must(t, "trust", "--root", "--skip-fingerprint-review", filepath.Join(whole.site, keyFile), p.images+"/key", filepath.Join(whole.site, stage1Keys))
	reached := make(map[string]bool)
	for _, c := range crashes(p) {
		passes := make(map[string]int)
		for _, point := range whole.elsewhere(t).begin(t, c).passes(t, c) {
			if storePoint.MatchString(point) {
				passes[point]++
				reached[point] = true
			}
		}
		if len(passes) == 0 {
			t.Errorf("%s passes no point", c.name)
		}
		for point, times := range passes {
			at := []string{point}
			if c.often && times > 1 {
				at = append(at, fmt.Sprintf("%s#%d", point, times))
			}
			for _, point := range at {
				t.Run(c.name+"/"+point, func(t *testing.T) {
					t.Parallel()
					whole.elsewhere(t).crash(t, c, point)
				})
			}
		}
	}
	wantReached(t, reached)
}

// elsewhere returns the same world with an empty store.
func (w *world) elsewhere(t *testing.T) *world {
	t.Helper()
	c := *w
	c.dir = t.TempDir()
	if err := os.CopyFS(filepath.Join(c.dir, "etc"), os.DirFS(filepath.Join(w.dir, "etc"))); err != nil {
		t.Fatal(err)
	}
	return &c
}

// begin does what comes before a command that is to be killed.
func (w *world) begin(t *testing.T, c crash) *world {
	t.Helper()
	for _, args := range c.before {
		w.steps(t, []step{{args, 0, ""}})
	}
	if c.spoil != nil {
		if err := c.spoil(w); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// passes returns the points that the command of a crash passes.
func (w *world) passes(t *testing.T, c crash) []string {
	t.Helper()
	return passed(t, w.inside(t, strings.Fields(c.args)...))
}

// crash kills a command at a point. What the store says that it has must be whole
// then, the same command must work again, and nothing may be left over.
func (w *world) crash(t *testing.T, c crash, point string) {
	t.Helper()
	w.begin(t, c)
	killed(t, point, w.inside(t, strings.Fields(c.args)...))
	w.verifyAll(t)
	again := step{c.args, 0, ""}
	if strings.HasPrefix(c.args, "image rm ") {
		again.args = prepared // they may be removed already
	}
	if c.name == "collect" {
		w.steps(t, []step{again})
		again.args = prepared
	}
	w.steps(t, []step{again})
	w.verifyAll(t)
	w.must(t, "gc", "--grace-period=0s")
	w.must(t, "image", "gc", "--grace-period=0s")
	if err := errors.Join(leftovers(w.dir), emptyStore(w.dir+"/data")); err != nil {
		t.Error(err)
	}
}

// verifyAll verifies all images that are in the store with all that they are made
// of.
func (w *world) verifyAll(t *testing.T) {
	t.Helper()
	ids := strings.Fields(w.must(t, "image", "list", "--full", "--no-legend", "--fields=id"))
	if len(ids) == 0 {
		return
	}
	var stderr strings.Builder
	cmd := w.command(t, append([]string{"image", "verify"}, ids...)...)
	cmd.Stderr = &stderr
	err := cmd.Run()
	// What an image depends on need not have been fetched yet.
	part := regexp.MustCompile(`: dependency "[^"]+": no image IDs found$|^hint: |failed verification$|^verify: tree cache verification failed`)
	for line := range strings.Lines(stderr.String()) {
		if !part.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("image verify: %v\n%s", err, &stderr)
		}
	}
}

// wantReached fails the test if a point that is named in the sources was reached
// by no command.
func wantReached(t *testing.T, reached map[string]bool) {
	t.Helper()
	var points []string
	for point := range reached {
		points = append(points, point)
	}
	slices.Sort(points)
	t.Logf("%d points: %s", len(points), strings.Join(points, " "))
	named := namedPoints(t, "../../internal/image", "../../internal/cli")
	if len(named) < 12 {
		t.Errorf("only these points are named: %v", named)
	}
	for name, where := range named {
		if !reached[name] && !reached[name+".before"] {
			t.Errorf("%s: no command has reached the point %q", where, name)
		}
	}
}

// namedPoints returns the names of fault points, or what they begin with, that
// are strings in the sources below some directories, and where that is.
func namedPoints(t *testing.T, dirs ...string) map[string]string {
	t.Helper()
	named := make(map[string]string)
	files := token.NewFileSet()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				for _, arg := range call.Args {
					literal, ok := arg.(*ast.BasicLit)
					if !ok || literal.Kind != token.STRING {
						continue
					}
					if value, err := strconv.Unquote(literal.Value); err == nil && storePoint.MatchString(value+".") && isPoint(call, value) {
						named[value] = files.Position(literal.Pos()).String()
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return named
}

// isPoint says whether a string that a function is called with can be the name of
// a point: others have no dots, unless the function is known.
func isPoint(call *ast.CallExpr, value string) bool {
	if strings.Contains(value, ".") {
		return regexp.MustCompile(`^[a-z0-9.-]+$`).MatchString(value)
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	return ok && method.Sel.Name == "Commit"
}
