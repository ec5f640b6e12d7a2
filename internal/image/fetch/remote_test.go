package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rkt/internal/appc"
	"rkt/internal/errhint"
	"rkt/internal/image"
	"rkt/internal/image/discover"
	"rkt/internal/image/imagetest"
	"rkt/internal/image/store"
	"rkt/internal/image/trust"
	"rkt/internal/image/web"
)

// world is a server that answers for all hosts there are. It counts requests and
// the bytes of their answers.
type world struct {
	*bench
	mu       sync.Mutex
	handlers map[string]http.HandlerFunc // by host and path
	asked    []string
	sent     map[string]int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{bench: newBench(t), handlers: make(map[string]http.HandlerFunc), sent: make(map[string]int)}
	server := httptest.NewTLSServer(w)
	t.Cleanup(server.Close)
	w.fetcher.Insecure.TLS = true
	w.fetcher.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}
	w.page("example.com/", "example.com https://dl.example.com/{name}-{version}.{ext}")
	return w
}

// counter counts the bytes of an answer.
type counter struct {
	http.ResponseWriter
	count func(int)
}

// Write counts what is to be sent before it is, so that who has got it all finds
// it counted.
func (c counter) Write(p []byte) (int, error) {
	c.count(len(p))
	return c.ResponseWriter.Write(p)
}

func (c counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	key := r.Host + r.URL.Path
	w.mu.Lock()
	w.asked = append(w.asked, key)
	handler := w.handlers[key]
	w.mu.Unlock()
	if handler == nil {
		handler = http.NotFound
	}
	handler(counter{rw, func(n int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.sent[key] += n
	}}, r)
}

func (w *world) page(at, content string) {
	w.handlers[at] = send(fmt.Appendf(nil, "<head><meta name=ac-discovery content=%q></head>", content))
}

// publish serves an image and its signature by a handler for each.
func (w *world) publish(at string, aci []byte) {
	w.handlers[at] = send(aci)
	w.handlers[at+".asc"] = send(w.signer.Sign(w.t, aci))
}

// bytes returns how many bytes were sent in answer to a request.
func (w *world) bytes(key string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent[key]
}

// requests returns how often something was asked for.
func (w *world) requests(key string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, asked := range w.asked {
		if asked == key {
			n++
		}
	}
	return n
}

func (w *world) must(location string) string {
	w.t.Helper()
	id, err := w.fetch(location, Options{})
	if err != nil {
		w.t.Fatalf("%s: %v", location, err)
	}
	return id
}

const (
	pathA = "dl.example.com/example.com/a-1.0.aci"
	urlA  = "https://" + pathA
)

func TestByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	aci := w.image("example.com/a")
	w.publish(pathA, aci)
	id := w.must("example.com/a:1.0")
	for _, line := range []string{
		"info searching for app image example.com/a:1.0",
		"info downloading signature from " + urlA + ".asc",
		fmt.Sprintf("diag remote fetching from URL %q", urlA),
		fmt.Sprintf("end Downloading ACI %d <nil>", len(aci)),
		"info signature verified:\n  A <a@example.com>",
	} {
		if !strings.Contains(w.reports.all(), line) {
			t.Errorf("no %q in\n%s", line, w.reports.all())
		}
	}
	if again := w.must("example.com/a:1.0"); again != id || w.requests(pathA) != 1 {
		t.Errorf("%s, asked %d times", again, w.requests(pathA))
	}
	w.fetcher.Policy = PullUpdate
	if again := w.must("example.com/a:1.0"); again != id || w.requests(pathA) != 2 {
		t.Errorf("update: %s, asked %d times", again, w.requests(pathA))
	}
	w.fetcher.Policy = PullNever
	if again := w.must("example.com/a:1.0"); again != id || w.requests(pathA) != 2 {
		t.Errorf("never: %s, asked %d times", again, w.requests(pathA))
	}
	if again := w.must(urlA); again != id {
		t.Errorf("by URL: %s", again)
	}
	if _, err := w.fetch("https://dl.example.com/other.aci", Options{}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("never, by URL: %v", err)
	}
}

// TestLatest shows that an image that was asked for without a version is the one
// for whoever asks so again.
func TestLatest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish("dl.example.com/example.com/a-latest.aci", w.image("example.com/a"))
	newer := imagetest.ACI(t, imagetest.Manifest("example.com/a", "0.9", []string{"/b"}))
	w.publish("dl.example.com/example.com/a-0.9.aci", newer)
	latest := w.must("example.com/a")
	if other := w.must("example.com/a:0.9"); other == latest {
		t.Error("both are the same")
	}
	if again := w.must("example.com/a"); again != latest {
		t.Errorf("got %s", again)
	}
}

func TestUntrustedBeforeDownload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	aci := w.image("example.com/a")
	w.handlers[pathA] = send(aci)
	w.handlers[pathA+".asc"] = send(imagetest.NewSigner(t, "B", "b@example.com").Sign(t, aci))
	_, err := w.fetch("example.com/a:1.0", Options{})
	if !errors.Is(err, trust.ErrUnknownKey) || w.requests(pathA) != 0 || errhint.Of(err) == "" {
		t.Errorf("%v, asked %d times for the image", err, w.requests(pathA))
	}
}

// TestOtherImage shows that a server can't answer with another image, signed or
// not.
func TestOtherImage(t *testing.T) {
	t.Parallel()
	for _, insecure := range []bool{false, true} {
		w := newWorld(t)
		w.fetcher.Insecure.Image = insecure
		w.publish(pathA, w.image("example.com/a/other"))
		w.publish("dl.example.com/example.com/a-2.0.aci", w.image("example.com/a"))
		w.page("example.com/a", "example.com https://dl.example.com/{name}-{version}.{ext}")
		for location, want := range map[string]string{
			"example.com/a:1.0":          `error when reading the app name: "example.com/a" expected but "example.com/a/other" found`,
			"example.com/a:2.0":          `requested value for label "version": "2.0" differs from fetched aci label value: "1.0"`,
			"example.com/a:2.0,flavor=x": `requested value for label "version"`,
		} {
			if _, err := w.fetch(location, Options{}); !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), want) {
				t.Errorf("insecure %v, %s: %v", insecure, location, err)
			}
		}
		w.handlers["dl.example.com/example.com/a-1.0.aci"] = send(w.image("example.com/a"))
		w.publish(pathA, w.image("example.com/a"))
		if _, err := w.fetch("example.com/a:1.0,flavor=x", Options{}); !strings.Contains(fmt.Sprint(err), `requested label "flavor" not provided by the image manifest`) {
			t.Errorf("insecure %v: %v", insecure, err)
		}
		if left := w.stored(); len(left) > 0 {
			t.Errorf("stored: %v", left)
		}
	}
}

// offered is a user who accepts a key, or nothing.
type offered struct {
	keys  *trust.Keystore
	key   []byte
	names []appc.ACIdentifier
}

func (o *offered) OfferKeys(_ context.Context, name appc.ACIdentifier) error {
	o.names = append(o.names, name)
	if o.key == nil {
		return errors.New("no thanks")
	}
	keys, err := trust.ReadKeys(strings.NewReader(string(o.key)))
	if err == nil {
		_, err = o.keys.AddPrefix(name, keys[0])
	}
	return err
}

func TestKeyOffer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	offer := &offered{keys: w.fetcher.Keys}
	w.fetcher.KeyOffer = offer
	const path = "dl.example.com/example.com/b-1.0.aci"
	w.publish(path, w.image("example.com/b"))
	w.publish(pathA, w.image("example.com/a"))
	if _, err := w.fetch("example.com/b:1.0", Options{}); err == nil || err.Error() != "no thanks" || w.requests(path) != 0 {
		t.Errorf("got %v", err)
	}
	offer.key = w.signer.PublicKey(t)
	w.must("example.com/b:1.0")
	w.must("example.com/a:1.0") // there is a key
	if got := fmt.Sprint(offer.names); got != "[example.com/b example.com/b]" {
		t.Errorf("asked about %s", got)
	}
}

func TestDiscoverKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.handlers["example.com/"] = send([]byte("<meta name=ac-discovery-pubkeys content='example.com https://example.com/keys'>" +
		"<meta name=ac-discovery-pubkeys content='example.com https://example.com/missing'>"))
	w.handlers["example.com/keys"] = send([]byte("a key"))
	keys, err := w.fetcher.DiscoverKeys(t.Context(), "example.com/a")
	if err != nil || len(keys) != 2 || keys[0].URL != "https://example.com/keys" || string(keys[0].Data) != "a key" || keys[0].Err != nil || keys[1].Err == nil {
		t.Errorf("%v, %v", keys, err)
	}
	if _, err := w.fetcher.DiscoverKeys(t.Context(), "other.com"); !errors.Is(err, discover.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// TestCaching counts what a server is asked for when an image is fetched again.
func TestCaching(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		desc          string
		header        map[string]string
		requests      int // for the image, in three fetches
		bytesPerImage int
	}{
		{"nothing", nil, 3, 3},
		{"etag", map[string]string{"ETag": `"x"`}, 3, 1},
		{"weak etag", map[string]string{"ETag": `W/"x"`}, 3, 1},
		{"max-age", map[string]string{"Cache-Control": "public, max-age=1000"}, 1, 1},
		{"no-cache", map[string]string{"Cache-Control": "max-age=1000, no-cache", "ETag": `"x"`}, 3, 1},
		{"no-store", map[string]string{"Cache-Control": "no-store"}, 3, 3},
		{"max-age of nonsense", map[string]string{"Cache-Control": "max-age=-1, max-age=x, max-age"}, 3, 3},
	} {
		w := newWorld(t)
		w.fetcher.Policy = PullUpdate
		aci := w.image("example.com/a")
		w.publish(pathA, aci)
		w.handlers[pathA] = func(rw http.ResponseWriter, r *http.Request) {
			for name, value := range tc.header {
				rw.Header().Set(name, value)
			}
			if etag := r.Header.Get("If-None-Match"); etag != "" && etag == tc.header["ETag"] {
				rw.WriteHeader(http.StatusNotModified)
				return
			}
			send(aci)(rw, r)
		}
		id := w.must(urlA)
		for range 2 {
			if again := w.must(urlA); again != id {
				t.Errorf("%s: %s", tc.desc, again)
			}
		}
		if n, sent := w.requests(pathA), w.bytes(pathA); n != tc.requests || sent != tc.bytesPerImage*len(aci) {
			t.Errorf("%s: %d requests, %d bytes of %d", tc.desc, n, sent, len(aci))
		}
	}
}

// TestDamagedIsFetchedAgain shows that what was found damaged in the store is no
// answer, however fresh it is.
func TestDamagedIsFetchedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fetcher.Policy = PullUpdate
	aci := w.image("example.com/a")
	w.publish(pathA, aci)
	w.handlers[pathA] = func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Cache-Control", "max-age=1000")
		send(aci)(rw, r)
	}
	id := w.must(urlA)
	blobs, err := filepath.Glob(filepath.Join(w.dir, "data/cas/blob/sha512/*", id))
	if err != nil || len(blobs) != 1 {
		t.Fatalf("%v, %v", blobs, err)
	}
	if err := os.Truncate(blobs[0], 100); err != nil {
		t.Fatal(err)
	}
	if _, err := w.fetcher.Store.Verify(t.Context(), id); !errors.Is(err, store.ErrDamaged) {
		t.Fatalf("not found: %v", err)
	}
	if again := w.must(urlA); again != id {
		t.Error(again)
	}
	if _, err := w.fetcher.Store.Verify(t.Context(), id); err != nil {
		t.Error(err)
	}
	if n := w.requests(pathA); n != 2 {
		t.Errorf("%d requests", n)
	}
}

// TestSignatureWanted shows that an image that was let in without a signature is
// no answer for who wants one.
func TestSignatureWanted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.handlers[pathA] = send(w.image("example.com/b"))
	w.fetcher.Insecure.Image = true
	w.must(urlA)
	w.fetcher.Insecure.Image = false
	if _, err := w.fetch(urlA, Options{}); !errors.Is(err, ErrUnsigned) {
		t.Errorf("got %v", err)
	}
}

// cutting serves data, and when it is asked for the first time closes the
// connection after half of it.
func cutting(data []byte, header func(http.Header)) http.HandlerFunc {
	var cut bool
	return func(w http.ResponseWriter, r *http.Request) {
		header(w.Header())
		if cut {
			modified, _ := http.ParseTime(w.Header().Get("Last-Modified"))
			http.ServeContent(w, r, "", modified, strings.NewReader(string(data)))
			return
		}
		cut = true
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		_, _ = w.Write(data[:len(data)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// TestResume counts the bytes on the wire when an image is fetched again after
// the connection was cut half way.
func TestResume(t *testing.T) {
	t.Parallel()
	etag := func(h http.Header) { h.Set("ETag", `"one"`) }
	date := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	moving := func(h http.Header) {
		date = date.Add(time.Hour)
		h.Set("Last-Modified", date.Format(http.TimeFormat))
	}
	fixed := "Wed, 01 Jan 2020 00:00:00 GMT"
	for _, tc := range []struct {
		desc   string
		header func(http.Header)
		after  func(whole, other []byte, serve http.HandlerFunc) http.HandlerFunc // what the server does the second time
		halves int                                                                // that are sent the second time, half a file each
		said   string
	}{
		{"etag", etag, nil, 1, ""},
		{"date", func(h http.Header) { h.Set("Last-Modified", fixed) }, nil, 1, ""},
		{"date that changes", moving, nil, 2, "cannot use cached partial download, resource updated."},
		{"too new", func(h http.Header) { h.Set("Date", fixed); h.Set("Last-Modified", fixed) }, nil, 2, ""},
		{"weak etag", func(h http.Header) { h.Set("ETag", `W/"one"`) }, nil, 2, ""},
		{"nothing", func(http.Header) {}, nil, 2, ""},
		{"changed", etag, func(_, other []byte, _ http.HandlerFunc) http.HandlerFunc {
			return serveContent(other, `"two"`)
		}, 2, "cannot use cached partial download, resource updated."},
		{"changed, and the server doesn't care", etag, func(_, other []byte, _ http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				r.Header.Del("If-Range")
				serveContent(other, `"two"`)(w, r)
			}
		}, 3, "cannot use cached partial download, resource updated."},
		{"changed, and the server lies", etag, func(_, other []byte, _ http.HandlerFunc) http.HandlerFunc {
			return serveContent(other, `"one"`)
		}, 3, "cannot use cached partial download, resource updated."},
		{"no ranges", etag, func(whole, _ []byte, _ http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { etag(w.Header()); send(whole)(w, r) }
		}, 2, "cannot use cached partial download, range request unsupported."},
		{"another range", etag, func(whole, _ []byte, _ http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Range") != "" {
					r.Header.Set("Range", "bytes=0-")
				}
				serveContent(whole, `"one"`)(w, r)
			}
		}, 4, "cannot use cached partial download, resource updated."},
		{"416", etag, func(whole, _ []byte, _ http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Range") != "" {
					w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
					return
				}
				send(whole)(w, r)
			}
		}, 2, ""},
	} {
		w := newWorld(t)
		aci := imagetest.ACI(t, imagetest.Manifest("example.com/a", "1.0", []string{"/a"}), imagetest.Program("rootfs/a", strings.Repeat("program", 1000)))
		other := imagetest.ACI(t, imagetest.Manifest("example.com/a", "1.0", []string{"/b"}), imagetest.Program("rootfs/a", strings.Repeat("PROGRAM", 1000)))
		w.publish(pathA, aci)
		w.handlers[pathA] = cutting(aci, tc.header)
		var cut *web.CutError
		if _, err := w.fetch(urlA, Options{}); !errors.As(err, &cut) || cut.Got != int64(len(aci)/2) {
			t.Fatalf("%s: got %v", tc.desc, err)
		}
		want := aci
		if tc.after != nil {
			w.handlers[pathA] = tc.after(aci, other, w.handlers[pathA])
			if strings.HasPrefix(tc.desc, "changed") {
				want = other
				w.handlers[pathA+".asc"] = send(w.signer.Sign(t, other))
			}
		}
		before := w.bytes(pathA)
		id := w.must(urlA)
		if packed, _, err := w.fetcher.Store.ArchiveSize(id); err != nil || packed != int64(len(want)) {
			t.Errorf("%s: %d bytes, %v", tc.desc, packed, err)
		}
		if got := w.bytes(pathA) - before; got != (tc.halves*len(want)+1)/2 {
			t.Errorf("%s: %d bytes on the wire, the image has %d", tc.desc, got, len(want))
		}
		if !strings.Contains(w.reports.all(), tc.said) {
			t.Errorf("%s: no %q in\n%s", tc.desc, tc.said, w.reports.all())
		}
	}
}

func serveContent(data []byte, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", etag)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(data)))
	}
}

// TestTwoAtOnce shows that two who fetch the same do so once.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	aci := w.image("example.com/a")
	w.publish(pathA, aci)
	begun, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.handlers[pathA] = func(rw http.ResponseWriter, r *http.Request) {
		once.Do(func() { close(begun); <-goOn })
		send(aci)(rw, r)
	}
	ids := make(chan string, 2)
	get := func() { ids <- w.must(urlA) }
	go get()
	<-begun
	waiting := &recorder{}
	second := *w.fetcher
	second.Policy = PullUpdate
	second.Reporter = &waiter{recorder: waiting, release: goOn}
	ref, err := image.ParseReference(urlA)
	if err != nil {
		t.Fatal(err)
	}
	id, err := second.Fetch(t.Context(), ref, Options{})
	if other := <-ids; err != nil || id != other {
		t.Errorf("%s and %s, %v", id, other, err)
	}
	if w.requests(pathA) != 1 {
		t.Errorf("asked %d times", w.requests(pathA))
	}
}

// waiter lets the other go on once it says that it waits.
type waiter struct {
	*recorder
	release chan struct{}
}

func (w *waiter) Info(text string) {
	w.recorder.Info(text)
	if text == "another rkt instance is downloading this file, waiting..." {
		close(w.release)
	}
}

// TestRemovedMeanwhile shows that an image which somebody removes while the server
// says that it is as it was is fetched again.
func TestRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	aci := w.image("example.com/a")
	w.publish(pathA, aci)
	id, conditional := "", 0
	w.handlers[pathA] = func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "" {
			conditional++
			if err := w.fetcher.Store.Remove(id); err != nil {
				t.Error(err)
			}
		}
		serveContent(aci, `"one"`)(rw, r)
	}
	w.fetcher.Policy = PullUpdate
	id = w.must(urlA)
	ref, err := image.ParseReference(urlA)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := w.fetcher.FetchAll(t.Context(), []Want{{Reference: ref}})
	if err != nil || len(ids) != 1 || ids[0] != id || conditional != 1 {
		t.Errorf("%v, %v, asked %d times whether it has changed", ids, err, conditional)
	}
	if _, err := w.fetcher.Store.Get(id); err != nil {
		t.Error(err)
	}
}

func TestDeferredSignature(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	aci := w.image("example.com/a")
	w.publish(pathA, aci)
	sig, fetched := w.handlers[pathA+".asc"], false
	w.handlers[pathA] = func(rw http.ResponseWriter, r *http.Request) { fetched = true; send(aci)(rw, r) }
	w.handlers[pathA+".asc"] = func(rw http.ResponseWriter, r *http.Request) {
		if !fetched {
			rw.WriteHeader(http.StatusAccepted)
			return
		}
		sig(rw, r)
	}
	w.must("example.com/a:1.0")
	if !strings.Contains(w.reports.all(), "server requested deferring the signature download") {
		t.Errorf("reports\n%s", w.reports.all())
	}
	w.handlers[pathA+".asc"] = func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusAccepted) }
	w.fetcher.Policy = PullUpdate
	if _, err := w.fetch(urlA, Options{}); !errors.Is(err, ErrUnsigned) || !strings.Contains(err.Error(), "deferred it again") {
		t.Errorf("got %v", err)
	}
}

func TestTooLittleRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fetcher.Insecure.Image = true
	w.handlers[pathA] = func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("ETag", `"x"`)
		rw.Header().Set("Content-Length", strconv.Itoa(1<<60))
		_, _ = rw.Write([]byte("x"))
	}
	if _, err := w.fetch(urlA, Options{}); !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("got %v", err)
	}
	if left := w.stored(); len(left) > 0 {
		t.Errorf("stored: %v", left)
	}
}
