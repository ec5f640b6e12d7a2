package fetch

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"rkt/internal/image"
	"rkt/internal/image/imagetest"
	"rkt/internal/image/store"
)

// publishWith serves an image of version 1.0 that depends on others, each
// written as in JSON, and returns its id.
func (w *world) publishWith(name string, dependencies ...string) (archive []byte) {
	w.t.Helper()
	fields := []string{`"dependencies":[` + strings.Join(dependencies, ",") + `]`}
	aci := imagetest.ACI(w.t, imagetest.Manifest("example.com/a/"+name, "1.0", []string{"/a"}, fields...), imagetest.Program("rootfs/"+name, name))
	w.publish("dl.example.com/example.com/a/"+name+"-1.0.aci", aci)
	w.publish("dl.example.com/example.com/a/"+name+"-latest.aci", aci)
	return aci
}

func needs(name string, fields ...string) string {
	return fmt.Sprintf(`{"imageName":"example.com/a/%s"%s}`, name, strings.Join(append([]string{""}, fields...), ","))
}

func (w *world) all(locations ...string) ([]string, error) {
	w.t.Helper()
	var wants []Want
	for _, location := range locations {
		ref, err := image.ParseReference(location)
		if err != nil {
			w.t.Fatal(err)
		}
		wants = append(wants, Want{Reference: ref})
	}
	return w.fetcher.FetchAll(w.t.Context(), wants)
}

const version1 = `"labels":[{"name":"version","value":"1.0"}]`

// TestDiamond fetches five images that depend on each other: each is fetched
// once.
func TestDiamond(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	base := w.publishWith("base")
	w.publishWith("left", needs("base", version1))
	w.publishWith("right", needs("base", version1, fmt.Sprintf(`"size":%d`, len(base))))
	w.publishWith("middle", needs("right", version1))
	w.publishWith("top", needs("left", version1), needs("middle", version1), needs("right", version1))
	ids, err := w.all("example.com/a/top:1.0")
	if err != nil || len(ids) != 1 {
		t.Fatalf("%v, %v", ids, err)
	}
	for _, name := range []string{"base", "left", "right", "middle", "top"} {
		if n := w.requests("dl.example.com/example.com/a/" + name + "-1.0.aci"); n != 1 {
			t.Errorf("asked %d times for %s", n, name)
		}
	}
	// A dependency that went away comes again.
	img, err := w.fetcher.Store.FindByName("example.com/a/base", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.fetcher.Store.Remove(img.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.all("example.com/a/top:1.0"); err != nil {
		t.Error(err)
	}
	if _, err := w.fetcher.Store.Get(img.ID); err != nil {
		t.Error(err)
	}
}

func TestSeveral(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"one", "two", "three"} {
		w.publishWith(name)
	}
	ids, err := w.all("example.com/a/one:1.0", "example.com/a/two:1.0", "example.com/a/one:1.0", "example.com/a/three:1.0")
	if err != nil || len(ids) != 4 || ids[0] != ids[2] || ids[0] == ids[1] || ids[1] == ids[3] {
		t.Errorf("%v, %v", ids, err)
	}
	if n := w.requests("dl.example.com/example.com/a/one-1.0.aci"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if !strings.Contains(w.reports.all(), "begin Downloading ACI example.com/a/two:1.0") {
		t.Errorf("reports\n%s", w.reports.all())
	}
	w.publishWith("four")
	_, err = w.all("example.com/a/one:1.0", "example.com/a/missing:1.0", "example.com/a/four:1.0")
	var about *ImageError
	if !errors.As(err, &about) || about.Image != "example.com/a/missing:1.0" {
		t.Errorf("got %v", err)
	}
}

func TestBadDependencies(t *testing.T) {
	t.Parallel()
	const other = `"imageID":"sha512-0000000000000000000000000000000000000000000000000000000000000000"`
	for _, tc := range []struct {
		desc    string
		publish func(w *world)
		want    error
		text    string
	}{
		{"itself", func(w *world) { w.publishWith("top", needs("top", version1)) }, ErrCycle, "example.com/a/top needs example.com/a/top"},
		{"cycle", func(w *world) {
			w.publishWith("top", needs("b"))
			w.publishWith("b", needs("c", version1))
			w.publishWith("c", needs("b", version1))
		}, ErrCycle, "example.com/a/b needs example.com/a/c needs example.com/a/b"},
		{"missing", func(w *world) { w.publishWith("top", needs("b")) }, nil, "404"},
		{"another id", func(w *world) {
			w.publishWith("top", needs("b", other))
			w.publishWith("b")
		}, ErrMismatch, "instead of sha512-0000"},
		{"another size", func(w *world) {
			w.publishWith("top", needs("b", `"size":7`))
			w.publishWith("b")
		}, ErrMismatch, "instead of 7"},
		{"too deep", func(w *world) {
			w.publishWith("top", needs("d0"))
			for i := range store.MaxDependencyDepth {
				w.publishWith(fmt.Sprintf("d%d", i), needs(fmt.Sprintf("d%d", i+1)))
			}
		}, ErrTooMany, "more than 32 deep"},
		{"too many", func(w *world) {
			var all []string
			for i := range store.MaxDependencies {
				all = append(all, needs(fmt.Sprintf("n%d", i)))
			}
			w.publishWith("top", all...)
		}, ErrTooMany, "they are more than 128"},
	} {
		w := newWorld(t)
		tc.publish(w)
		_, err := w.all("example.com/a/top:1.0")
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: %v", tc.desc, err)
		}
	}
}
