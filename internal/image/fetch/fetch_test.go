package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rkt/internal/appc"
	"rkt/internal/errhint"
	"rkt/internal/image"
	"rkt/internal/image/imagetest"
	"rkt/internal/image/store"
	"rkt/internal/image/trust"
)

// recorder remembers what it is told.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *recorder) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *recorder) Diag(text string) { r.add("diag %s", text) }
func (r *recorder) Info(text string) { r.add("info %s", text) }
func (r *recorder) Transfer(label string, total int64) Transfer {
	r.add("begin %s %d", label, total)
	return &recorded{r, label, 0}
}

func (r *recorder) all() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

type recorded struct {
	r     *recorder
	label string
	n     int64
}

func (t *recorded) Add(n int64)    { t.n += n }
func (t *recorded) Done(err error) { t.r.add("end %s %d %v", t.label, t.n, err) }

// bench is a store and a keystore that trusts one key for example.com/a.
type bench struct {
	t       testing.TB
	dir     string
	fetcher *Fetcher
	signer  *imagetest.Signer
	reports *recorder
}

func newBench(t testing.TB) *bench {
	t.Helper()
	dir := t.TempDir()
	s, err := store.OpenWith(filepath.Join(dir, "data"), store.Options{Reserve: 1})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, dir: dir, signer: imagetest.NewSigner(t, "A", "a@example.com"), reports: &recorder{}}
	keys := trust.Open("", filepath.Join(dir, "etc"))
	public, err := trust.ReadKeys(bytes.NewReader(b.signer.PublicKey(t)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.AddPrefix("example.com/a", public[0]); err != nil {
		t.Fatal(err)
	}
	b.fetcher = &Fetcher{Store: s, Keys: keys, Version: "1.2.3", Reporter: b.reports}
	return b
}

// image returns a compressed image of the given name.
func (b *bench) image(name string) []byte {
	b.t.Helper()
	return imagetest.Gzip(b.t, imagetest.ACI(b.t, imagetest.Manifest(name, "1.0", []string{"/a"}),
		imagetest.Program("rootfs/a", strings.Repeat("program", 1000))))
}

// write writes a file and returns its path.
func (b *bench) write(name string, data []byte) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

func (b *bench) fetch(location string, o Options) (string, error) {
	b.t.Helper()
	ref, err := image.ParseReference(location)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.fetcher.Fetch(context.Background(), ref, o)
}

// stored returns all files of the store.
func (b *bench) stored() []string {
	b.t.Helper()
	var found []string
	err := filepath.WalkDir(filepath.Join(b.dir, "data"), func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

func TestFile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	aci := b.image("example.com/a/b")
	path := b.write("app.aci", aci)
	b.write("app.aci.asc", b.signer.Sign(t, aci))
	id, err := b.fetch(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	img, err := b.fetcher.Store.Get(id)
	if err != nil || img.Manifest.Name != "example.com/a/b" || img.SignedBy == "" {
		t.Errorf("%+v, %v", img, err)
	}
	want := "diag using image from file " + path + "\ninfo signature verified:\n  A <a@example.com>"
	if got := b.reports.all(); got != want {
		t.Errorf("reports\n%s\nwant\n%s", got, want)
	}
	for _, location := range []string{id, id[:12], "example.com/a/b", "example.com/a/b:1.0", "example.com/a/b,os=linux,arch=amd64"} {
		if again, err := b.fetch(location, Options{}); err != nil || again != id {
			t.Errorf("%s: %s, %v", location, again, err)
		}
	}
}

// TestRefused shows that each wrong thing has its own message and that nothing
// of it is stored.
func TestRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	aci := b.image("example.com/a")
	flipped := bytes.Clone(aci)
	flipped[len(flipped)/2] ^= 4
	stranger := imagetest.NewSigner(t, "B", "b@example.com")
	other := b.image("example.com/ab")
	unreadable := imagetest.ACI(t, `{"acKind":"ImageManifest","acVersion":"0.8.11","name":"Bad Name"}`)
	for i, tc := range []struct {
		desc string
		aci  []byte
		sig  []byte
		want error
		text string
	}{
		{"no signature", aci, nil, ErrUnsigned, "error opening signature file"},
		{"empty signature", aci, []byte{}, trust.ErrNoSignature, "keystore: no valid signatures found in signature file"},
		{"another key", aci, stranger.Sign(t, aci), trust.ErrUnknownKey, "openpgp: signature made by unknown entity"},
		{"key for another prefix", other, b.signer.Sign(t, other), trust.ErrOtherPrefix, "is trusted for example.com/a, not for"},
		{"flipped bit", flipped, b.signer.Sign(t, aci), trust.ErrBadSignature, "the image is not what was signed"},
		{"truncated", aci[:len(aci)-50], b.signer.Sign(t, aci), trust.ErrBadSignature, "the image is not what was signed"},
		{"signed, but truncated", aci[:len(aci)-50], b.signer.Sign(t, aci[:len(aci)-50]), nil, "it is truncated"},
		{"not an image", []byte("<html>"), b.signer.Sign(t, []byte("<html>")), nil, "neither a tar archive nor"},
		{"bad name", unreadable, b.signer.Sign(t, unreadable), nil, "name: AC identifier"},
	} {
		path := b.write(fmt.Sprintf("%d.aci", i), tc.aci)
		if tc.sig != nil {
			b.write(fmt.Sprintf("%d.aci.asc", i), tc.sig)
		}
		id, err := b.fetch(path, Options{})
		if err == nil || !strings.Contains(err.Error(), tc.text) || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: %s, %v, want %q", tc.desc, id, err, tc.text)
		}
	}
	if left := b.stored(); len(left) > 0 {
		t.Errorf("stored: %v", left)
	}
}

func TestWithoutSignature(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.write("app.aci", b.image("example.com/b"))
	id, err := b.fetch(path, Options{Vouched: true})
	if err != nil {
		t.Fatal(err)
	}
	b.fetcher.Insecure.Image = true
	if again, err := b.fetch(path, Options{}); err != nil || again != id {
		t.Errorf("%s, %v", again, err)
	}
	if img, err := b.fetcher.Store.Get(id); err != nil || img.SignedBy != "" {
		t.Errorf("%+v, %v", img, err)
	}
	damaged := b.write("bad.aci", []byte("no image"))
	if _, err := b.fetch(damaged, Options{}); err == nil {
		t.Error("no image was accepted")
	}
}

func TestGivenSignature(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	aci := b.image("example.com/a")
	path := b.write("app.aci", aci)
	sig := b.write("elsewhere", b.signer.Sign(t, aci))
	if _, err := b.fetch(path, Options{SignaturePath: sig}); err != nil {
		t.Error(err)
	}
	_, err := b.fetch(path, Options{SignaturePath: sig + "x"})
	if !errors.Is(err, ErrUnsigned) || !strings.Contains(err.Error(), "error opening signature file") || errhint.Of(err) == "" {
		t.Errorf("got %v", err)
	}
}

func TestOddFiles(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	fifo := filepath.Join(b.dir, "fifo.aci")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, b.dir, filepath.Join(b.dir, "missing.aci")} {
		if _, err := b.fetch(path, Options{Vouched: true}); err == nil || !strings.Contains(err.Error(), "error opening image file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fetcher.Policy = PullNever
	_, err := b.fetch("example.com/none:1.0", Options{})
	if !errors.Is(err, ErrUnavailable) || !strings.HasPrefix(err.Error(), `unable to fetch image from image name "example.com/none:1.0": `) {
		t.Errorf("got %v", err)
	}
	if _, err := b.fetch("docker://busybox", Options{}); !errors.Is(err, ErrUnsupported) || errhint.Of(err) == "" {
		t.Errorf("got %v", err)
	}
	if _, err := b.fetch("sha512-abcd", Options{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// serve answers for paths; the rest is not found.
func (b *bench) serve(handlers map[string]http.HandlerFunc) *httptest.Server {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h, ok := handlers[r.URL.Path]; ok {
			h(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	b.t.Cleanup(server.Close)
	b.fetcher.Insecure.TLS = true
	return server
}

func send(data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data)
	}
}

func TestURL(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	aci := b.image("example.com/a")
	sig := b.signer.Sign(t, aci)
	var agent string
	server := b.serve(map[string]http.HandlerFunc{
		"/app.aci": func(w http.ResponseWriter, r *http.Request) {
			agent = r.UserAgent()
			w.Header().Set("Content-Type", "application/gzip")
			send(aci)(w, r)
		},
		"/app.aci.asc":   send(sig),
		"/moved.aci":     http.RedirectHandler("/app.aci", http.StatusFound).ServeHTTP,
		"/moved.aci.asc": http.RedirectHandler("/app.aci.asc", http.StatusFound).ServeHTTP,
		"/chunked.aci": func(w http.ResponseWriter, _ *http.Request) {
			for part := aci; len(part) > 0; part = part[min(100, len(part)):] {
				_, _ = w.Write(part[:min(100, len(part))])
				_ = http.NewResponseController(w).Flush()
			}
		},
		"/chunked.aci.asc": send(sig),
	})
	id, err := b.fetch(server.URL+"/app.aci", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if agent != "rkt/1.2.3" {
		t.Errorf("User-Agent %q", agent)
	}
	want := fmt.Sprintf("diag remote fetching from URL %q\ninfo downloading signature from %s.asc\n"+
		"begin Downloading signature %d\nend Downloading signature %d <nil>\n"+
		"begin Downloading ACI %d\nend Downloading ACI %d <nil>\ninfo signature verified:\n  A <a@example.com>",
		server.URL+"/app.aci", server.URL+"/app.aci", len(sig), len(sig), len(aci), len(aci))
	if got := b.reports.all(); got != want {
		t.Errorf("reports\n%s\nwant\n%s", got, want)
	}
	for _, path := range []string{"/moved.aci", "/chunked.aci", "/app.aci?token=x"} {
		if again, err := b.fetch(server.URL+path, Options{}); err != nil || again != id {
			t.Errorf("%s: %s, %v", path, again, err)
		}
	}
}

func TestBadServers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	aci := b.image("example.com/a")
	done := make(chan struct{})
	plain := httptest.NewServer(send(aci))
	t.Cleanup(plain.Close)
	server := b.serve(map[string]http.HandlerFunc{
		"/unsigned.aci": send(aci),
		"/error.aci":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"/html.aci":     send([]byte("<!DOCTYPE html><title>Sign in</title>")),
		"/short.aci": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(aci)))
			_, _ = w.Write(aci[:100])
		},
		"/idle.aci": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(aci[:100])
			_ = http.NewResponseController(w).Flush()
			<-done
		},
		"/drip.aci": func(w http.ResponseWriter, _ *http.Request) {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for i := range aci {
				select {
				case <-done:
					return
				case <-tick.C:
					_, _ = w.Write(aci[i : i+1])
					_ = http.NewResponseController(w).Flush()
				}
			}
		},
		"/silent.aci":    func(http.ResponseWriter, *http.Request) { <-done },
		"/loop.aci":      func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop.aci", http.StatusFound) },
		"/downgrade.aci": http.RedirectHandler(plain.URL+"/app.aci", http.StatusFound).ServeHTTP,
		"/file.aci":      http.RedirectHandler("file:///etc/passwd.aci", http.StatusFound).ServeHTTP,
		"/huge.aci.asc":  send(make([]byte, 2<<20)),
		"/huge.aci":      send(aci),
	})
	t.Cleanup(func() { close(done) })
	// On a busy machine the time may be over before there is a connection.
	const tooLate = "the server sends nothing or next to nothing|[Tt]imeout"
	for _, tc := range []struct {
		path    string
		vouched bool
		want    string
	}{
		{"/unsigned.aci", false, "error downloading the signature file: bad HTTP status code: 404"},
		{"/huge.aci", false, "it has more than 1048576 bytes"},
		{"/missing.aci", true, "error downloading ACI: bad HTTP status code: 404"},
		{"/error.aci", true, "bad HTTP status code: 503"},
		{"/html.aci", true, "the server has sent a web page in place of an image"},
		{"/short.aci", true, fmt.Sprintf("the server has closed the connection after 100 of %d bytes", len(aci))},
		{"/idle.aci", true, tooLate},
		{"/drip.aci", true, tooLate},
		{"/silent.aci", true, tooLate},
		{"/loop.aci", true, "too many redirects"},
		{"/downgrade.aci", true, "a redirection from https to http is never followed"},
		{"/file.aci", true, "unsupported scheme"},
	} {
		b.fetcher.patience = 0
		if tc.want == tooLate {
			b.fetcher.patience = 500 * time.Millisecond
		}
		_, err := b.fetch(server.URL+tc.path, Options{Vouched: tc.vouched})
		if err == nil || !regexp.MustCompile(tc.want).MatchString(err.Error()) {
			t.Errorf("%s: got %v, want %q", tc.path, err, tc.want)
		}
	}
	if left := b.stored(); len(left) > 0 {
		t.Errorf("stored: %v", left)
	}
	if _, err := b.fetch(plain.URL+"/app.aci", Options{Vouched: true}); !errors.Is(err, ErrInsecure) || errhint.Of(err) == "" {
		t.Errorf("plain http: %v", err)
	}
	b.fetcher.Insecure.HTTP = true
	if _, err := b.fetch(plain.URL+"/app.aci", Options{Vouched: true}); err != nil {
		t.Errorf("plain http, allowed: %v", err)
	}
	b.fetcher.Insecure.TLS = false
	if _, err := b.fetch(server.URL+"/unsigned.aci", Options{Vouched: true}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	started := make(chan struct{})
	done := make(chan struct{})
	server := b.serve(map[string]http.HandlerFunc{"/app.aci": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("begin"))
		_ = http.NewResponseController(w).Flush()
		close(started)
		<-done
	}})
	t.Cleanup(func() { close(done) })
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		<-started
		cancel(errors.New("interrupted"))
	}()
	ref, err := image.ParseReference(server.URL + "/app.aci")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.fetcher.Fetch(ctx, ref, Options{Vouched: true}); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("got %v", err)
	}
	if left := b.stored(); len(left) > 0 {
		t.Errorf("stored: %v", left)
	}
}

func TestGetKeys(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	public := b.signer.PublicKey(t)
	server := b.serve(map[string]http.HandlerFunc{"/keys.gpg": send(public)})
	for _, location := range []string{b.write("key", public), server.URL + "/keys.gpg"} {
		if got, err := b.fetcher.GetKeys(context.Background(), location); err != nil || !bytes.Equal(got, public) {
			t.Errorf("%s: %v", location, err)
		}
	}
	for location, want := range map[string]string{
		"http://127.0.0.1:1/keys": "--insecure-allow-http required for http URLs",
		server.URL + "/none":      "bad HTTP status code: 404",
		"/nowhere/key":            "error opening key file",
	} {
		if _, err := b.fetcher.GetKeys(context.Background(), location); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", location, err)
		}
	}
}

// TestImport shows that what is stored is what was checked, even if the source
// changes meanwhile.
func TestImport(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	aci := b.image("example.com/a")
	sig := b.signer.Sign(t, aci)
	id, err := b.fetcher.Import(context.Background(), bytes.NewReader(aci), bytes.NewReader(sig), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if img, err := b.fetcher.Store.FindByName(appc.ACIdentifier("example.com/a"), nil); err != nil || img.ID != id {
		t.Errorf("%+v, %v", img, err)
	}
	if _, err := b.fetcher.Import(context.Background(), bytes.NewReader(aci), nil, Options{}); !errors.Is(err, ErrUnsigned) {
		t.Errorf("got %v", err)
	}
	broken := errors.New("broken")
	r := io.MultiReader(bytes.NewReader(aci[:100]), errReader{broken})
	if _, err := b.fetcher.Import(context.Background(), r, bytes.NewReader(sig), Options{}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

// TestEveryFlippedBit shows that a change anywhere is called what it is.
func TestEveryFlippedBit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	aci := b.image("example.com/a")
	sig := b.signer.Sign(t, aci)
	for i := 0; i < len(aci); i += 3 {
		changed := bytes.Clone(aci)
		changed[i] ^= 1 << (i % 8)
		_, err := b.fetcher.Import(context.Background(), bytes.NewReader(changed), bytes.NewReader(sig), Options{})
		if !errors.Is(err, trust.ErrBadSignature) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	if left := b.stored(); len(left) > 0 {
		t.Errorf("stored: %v", left)
	}
}
