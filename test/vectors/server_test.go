package vectors

import (
	"cmp"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// files are what a server has, by path.
type files map[string][]byte

// server is a host at which an image is /app.aci and its signature
// /app.aci.asc. Names lead there by way of a proxy, so that they need not exist.
type server struct {
	*host
	image    string // its name, at example.com
	https    *httptest.Server
	handlers map[string]http.HandlerFunc // in place of files
	proxy    *httptest.Server
	others   map[string]string // addresses that the proxy leads to, by host and port
}

// newServer starts one that has the files, and makes the host believe in it.
func newServer(h *host, image string, has files) *server {
	h.t.Helper()
	s := &server{host: h, image: image, handlers: make(map[string]http.HandlerFunc), others: make(map[string]string)}
	for path, data := range has {
		s.handlers[path] = serve(data)
	}
	s.page(`<meta name="ac-discovery" content="example.com https://example.com/app.{ext}">`)
	s.https = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, ok := s.handlers[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		handler(w, r)
	}))
	h.t.Cleanup(s.https.Close)
	s.proxy = httptest.NewServer(http.HandlerFunc(s.connect))
	h.t.Cleanup(s.proxy.Close)
	authority := filepath.Join(h.dir, "authority")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.https.Certificate().Raw})
	if err := os.WriteFile(authority, text, 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.env = append(os.Environ(), "SSL_CERT_FILE="+authority, "HTTPS_PROXY="+s.proxy.URL, "NO_PROXY=")
	return s
}

// page makes the page about the image say something.
func (s *server) page(html string) {
	s.handlers[strings.TrimPrefix(s.image, "example.com")] = func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, html) }
}

// verdictURL fetches the image by its URL.
func (s *server) verdictURL(want string) string {
	s.t.Helper()
	return s.verdict(want, s.https.URL+"/app.aci")
}

// verdictName fetches the image by its name.
func (s *server) verdictName(want string) string {
	s.t.Helper()
	return s.verdict(want, s.image+":1")
}

// configure writes a file of the host's configuration.
func (h *host) configure(name, text string) {
	h.t.Helper()
	path := filepath.Join(h.dir, "etc", name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		h.t.Fatal(err)
	}
}

func serve(data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data)
	}
}

// connect leads whoever asks for a host, whichever, to the server.
func (s *server) connect(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "only https", http.StatusBadRequest)
		return
	}
	address, ok := s.others[r.Host]
	if !ok {
		address = strings.TrimPrefix(s.https.URL, "https://")
	}
	join(s.t, w, address)
}

// serverVector is a server and the verdict on it.
type serverVector struct {
	name  string
	spoil func(s *server, aci, sig []byte)
	want  string
	// named is the verdict by name if that is another: a host with a name is
	// another machine as far as rkt can tell.
	named string
	slow  bool // rkt has to wait for it
}

// TestServers asks every server by URL and by name. Those that are slow are asked
// all at once: rkt gives up on them after a while, and until then nobody has
// anything to do.
func TestServers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := aci(t)
	sig := r.signer.Sign(t, good)
	var slow sync.WaitGroup
	for _, v := range servers() {
		for way, verdict := range map[string]func(*server, string) string{"url": (*server).verdictURL, "name": (*server).verdictName} {
			want := v.want
			if way == "name" {
				want = cmp.Or(v.named, want)
			}
			start := func(t *testing.T) *server {
				t.Helper()
				s := newServer(r.newHost(t), appName, files{imagePath: good, imagePath + ".asc": sig})
				v.spoil(s, good, sig)
				return s
			}
			if v.slow {
				s := start(t)
				slow.Go(func() { verdict(s, want) })
				continue
			}
			t.Run(v.name+"/"+way, func(t *testing.T) {
				t.Parallel()
				verdict(start(t), want)
			})
		}
	}
	slow.Wait()
}
