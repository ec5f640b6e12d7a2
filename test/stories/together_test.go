package stories_test

import (
	"bufio"
	"bytes"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// fetchTogether lets two processes fetch one image at once.
func fetchTogether(t *testing.T, p programs) {
	t.Helper()
	t.Run("URL", func(t *testing.T) { fetchURLTogether(t, newPlace(t, p)) })
	for way, args := range map[string]string{"File": "fetch " + p.images + "/app.aci", "Name": "fetch coreos.com/etcd:v2.0.9"} {
		t.Run(way, func(t *testing.T) {
			w := newWorld(t, p)
			w.must(t, "trust", "--root", "--skip-fingerprint-review", p.images+"/key", filepath.Join(w.site, keyFile))
			var ids [2]bytes.Buffer
			var both sync.WaitGroup
			for i := range ids {
				cmd := w.inside(t, strings.Fields(args)...)
				cmd.Stdout = &ids[i]
				both.Go(func() {
					if err := cmd.Run(); err != nil {
						t.Errorf("%v: %v", cmd.Args, err)
					}
				})
			}
			both.Wait()
			w.wantOneCopy(t, ids[0].String(), ids[1].String())
		})
	}
}

// fetchURLTogether holds the first download back until the second process waits
// for it.
func fetchURLTogether(t *testing.T, at place) {
	t.Helper()
	var downloads atomic.Int32
	begun, goOn := make(chan struct{}), make(chan struct{})
	files := http.FileServer(http.Dir(at.images))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/app.aci" && downloads.Add(1) == 1 {
			close(begun)
			<-goOn
		}
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	fetch := func() *exec.Cmd { return at.command(t, "--insecure-options=http", "fetch", server.URL+"/app.aci") }
	var first, second bytes.Buffer
	one, two := fetch(), fetch()
	one.Stdout, two.Stdout = &first, &second
	said, err := two.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := one.Start(); err != nil {
		t.Fatal(err)
	}
	<-begun
	if err := two.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if lines.Text() == "image: another rkt instance is downloading this file, waiting..." {
			once.Do(func() { close(goOn) })
		}
	}
	once.Do(func() {
		t.Error("the second process doesn't wait for the first")
		close(goOn)
	})
	for _, cmd := range []*exec.Cmd{one, two} {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", cmd.Args, err)
		}
	}
	at.wantOneCopy(t, first.String(), second.String())
	if n := downloads.Load(); n != 1 {
		t.Errorf("it was downloaded %d times", n)
	}
}

// wantOneCopy fails the test unless two fetches have said the same and the store
// has what they fetched once, whole.
func (p place) wantOneCopy(t *testing.T, one, two string) {
	t.Helper()
	if one == "" || one != two {
		t.Errorf("one says %q, the other %q", one, two)
	}
	if blobs, err := filepath.Glob(p.dir + "/data/cas/blob/sha512/*/sha512-" + strings.Repeat("[0-9a-f]", 64)); len(blobs) != 1 {
		t.Errorf("stored: %v, %v", blobs, err)
	}
	p.must(t, "image", "verify", strings.TrimSpace(one))
	if err := leftovers(p.dir + "/data"); err != nil {
		t.Error(err)
	}
}
