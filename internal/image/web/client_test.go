package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rkt/internal/errhint"
)

// network is where hosts are: far ones at an address that is not this machine's
// as far as anybody can tell, others here.
type network struct {
	t        *testing.T
	mu       sync.Mutex
	handlers map[string]http.HandlerFunc // by scheme, host and path
	seen     []string                    // the same, with credentials
	https    *httptest.Server
	plain    *httptest.Server
}

func newNetwork(t *testing.T, handlers map[string]http.HandlerFunc) *network {
	t.Helper()
	n := &network{t: t, handlers: handlers}
	n.https = httptest.NewTLSServer(n)
	n.plain = httptest.NewServer(n)
	t.Cleanup(n.https.Close)
	t.Cleanup(n.plain.Close)
	return n
}

func (n *network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	at := scheme + "://" + r.Host + r.URL.Path
	n.mu.Lock()
	n.seen = append(n.seen, strings.TrimSpace(at+" "+r.Header.Get("Authorization")+r.Header.Get("Referer")))
	handler := n.handlers[at]
	n.mu.Unlock()
	if handler == nil {
		handler = http.NotFound
	}
	handler(w, r)
}

// farConn is a connection to a machine elsewhere.
type farConn struct{ net.Conn }

func (farConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443} }

func (n *network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	server := n.https
	if strings.HasSuffix(address, ":80") {
		server = n.plain
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	if err == nil && strings.HasPrefix(address, "far") {
		conn = farConn{conn}
	}
	return conn, err
}

// client returns one for which hosts are where the network has them.
func (n *network) client(o Options) *Client {
	n.t.Helper()
	o.Dial, o.InsecureTLS = n.dial, true
	c := New(o)
	n.t.Cleanup(c.Close)
	return c
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
}

func to(location string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusFound)
	}
}

// basic gives all requests to one host credentials.
type basic struct{ base http.RoundTripper }

func (b basic) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if r.URL.Host == "far.com" && r.URL.Scheme == "https" {
		r.SetBasicAuth("user", "secret")
	}
	return b.base.RoundTrip(r)
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	chain := func(length int) map[string]http.HandlerFunc {
		handlers := map[string]http.HandlerFunc{fmt.Sprintf("https://far.com/%d", length): text("end")}
		for i := range length {
			handlers[fmt.Sprintf("https://far.com/%d", i)] = to(fmt.Sprintf("/%d", i+1))
		}
		return handlers
	}
	for _, tc := range []struct {
		desc     string
		handlers map[string]http.HandlerFunc
		url      string
		http     bool
		want     error
		last     string // that was asked, with what it was told
	}{
		{"ten", chain(maxRedirects), "https://far.com/0", false, nil, "https://far.com/10 Basic dXNlcjpzZWNyZXQ="},
		{"eleven", chain(maxRedirects + 1), "https://far.com/0", false, ErrRedirects, "https://far.com/10 Basic dXNlcjpzZWNyZXQ="},
		{"loop", map[string]http.HandlerFunc{"https://far.com/": to("/")}, "https://far.com/", false, ErrRedirects, "https://far.com/ Basic dXNlcjpzZWNyZXQ="},
		{"to http", map[string]http.HandlerFunc{"https://far.com/": to("http://far.com/")}, "https://far.com/", true, ErrDowngrade, "https://far.com/ Basic dXNlcjpzZWNyZXQ="},
		{"http", nil, "http://far.com/", false, ErrInsecure, ""},
		{"http to http", map[string]http.HandlerFunc{"http://far.com/": to("/x"), "http://far.com/x": text("end")}, "http://far.com/", true, nil, "http://far.com/x"},
		{"http to https", map[string]http.HandlerFunc{"http://far.com/": to("https://far.org/"), "https://far.org/": text("end")}, "http://far.com/", true, nil, "https://far.org/"},
		{"to another host", map[string]http.HandlerFunc{"https://far.com/": to("https://far.org/"), "https://far.org/": text("end")}, "https://far.com/", false, nil, "https://far.org/"},
		{"below the host", map[string]http.HandlerFunc{"https://far.com/": to("https://a.far.com/")}, "https://far.com/", false, ErrLocal, "https://far.com/ Basic dXNlcjpzZWNyZXQ="},
		{
			"password in the URL",
			map[string]http.HandlerFunc{"https://far.org/": to("https://far.net/"), "https://far.net/": text("end")},
			"https://me:mine@far.org/", false, nil, "https://far.net/",
		},
		{"to this machine", map[string]http.HandlerFunc{"https://far.com/": to("https://near.com/")}, "https://far.com/", false, ErrLocal, "https://far.com/ Basic dXNlcjpzZWNyZXQ="},
		{
			"there and back",
			map[string]http.HandlerFunc{"https://near.com/": to("https://far.org/"), "https://far.org/": to("https://near.com/")},
			"https://near.com/", false, ErrLocal, "https://far.org/",
		},
		{
			"from this machine",
			map[string]http.HandlerFunc{"https://near.com/": to("https://near.org/"), "https://near.org/": text("end")},
			"https://near.com/", false, nil, "https://near.org/",
		},
	} {
		n := newNetwork(t, tc.handlers)
		c := n.client(Options{AllowHTTP: tc.http, Credentials: func(base http.RoundTripper) http.RoundTripper { return basic{base} }})
		got, err := c.All(t.Context(), Request{URL: tc.url}, 100)
		if !errors.Is(err, tc.want) || err == nil && string(got) != "end" {
			t.Errorf("%s: %q, %v", tc.desc, got, err)
		}
		if tc.last == "" && len(n.seen) > 0 || tc.last != "" && (len(n.seen) == 0 || n.seen[len(n.seen)-1] != tc.last) {
			t.Errorf("%s: asked %q", tc.desc, n.seen)
		}
		if strings.Contains(fmt.Sprint(err), "mine") {
			t.Errorf("%s: %v", tc.desc, err)
		}
	}
}

// TestFromPage shows that a page elsewhere can no more lead to this machine than
// a redirection can.
func TestFromPage(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, map[string]http.HandlerFunc{
		"https://far.com/": text("page"), "https://near.com/": text("page"), "https://near.com/x": text("secret"), "https://far.com/x": text("x"),
	})
	c := n.client(Options{})
	for _, page := range []string{"https://far.com/", "https://near.com/"} {
		body, err := c.Page(t.Context(), page)
		if err != nil {
			t.Fatal(err)
		}
		if err := body.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, tc := range []struct {
		url, from string
		want      error
	}{
		{"https://near.com/x", "https://far.com/", ErrLocal},
		{"https://near.com/x", "https://near.com/", nil},
		{"https://near.com/x", "", nil},
		{"https://far.com/x", "https://far.com/", nil},
	} {
		if _, err := c.All(t.Context(), Request{URL: tc.url, From: tc.from}, 100); !errors.Is(err, tc.want) {
			t.Errorf("%s from %q: %v", tc.url, tc.from, err)
		}
	}
}

// TestNoConnection shows that what must not be asked is not even connected to.
func TestNoConnection(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dial := New(Options{}).dialer(elsewhere)
	if conn, err := dial(t.Context(), "tcp", listener.Addr().String()); !errors.Is(err, ErrLocal) {
		t.Errorf("%v, %v", conn, err)
	}
	for host, want := range map[string]bool{
		"localhost": true, "a.LOCALHOST.": true, "127.1.2.3": true, "::1": true, "::ffff:127.0.0.1": true, "0.0.0.0": true,
		"169.254.169.254": true, "fe80::1": true, "10.0.0.1": false, "localhost.com": false, "192.0.2.1": false,
	} {
		if got := namesLocal(host); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}
	}
	n := newNetwork(t, map[string]http.HandlerFunc{
		"https://far.com/500":       status(500),
		"https://far.com/503":       status(503, "Retry-After", "120"),
		"https://far.com/503date":   status(503, "Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)),
		"https://far.com/503past":   status(503, "Retry-After", "Wed, 01 Jan 2020 00:00:00 GMT"),
		"https://far.com/503huge":   status(503, "Retry-After", "2000000000"),
		"https://far.com/503absurd": status(503, "Retry-After", "-5 soon"),
		"https://far.com/401":       status(401),
		"https://far.com/300":       status(300),
		"https://far.com/204":       status(204),
		"https://far.com/202":       status(202),
	})
	c := n.client(Options{})
	for path, hint := range map[string]string{
		"404": "", "500": "", "503": "try again in 2m0s", "503date": "try again in ", "503past": "", "503huge": "try again in 24h0m0s",
		"503absurd": "", "401": "credentials for far.com", "300": "", "204": "", "202": "",
	} {
		_, err := c.Get(t.Context(), Request{URL: "https://far.com/" + path})
		var bad *StatusError
		if !errors.As(err, &bad) || strconv.Itoa(bad.Code) != path[:3] || err.Error() != "bad HTTP status code: "+path[:3] {
			t.Errorf("%s: %v", path, err)
		}
		if got := errhint.Of(err); !strings.Contains(got, hint) || hint == "" && got != "" {
			t.Errorf("%s: hint %q", path, got)
		}
	}
	response, err := c.Get(t.Context(), Request{URL: "https://far.com/202", Accept: []int{200, 202}})
	if err != nil || response.Status != 202 {
		t.Fatalf("%v, %v", response, err)
	}
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
}

func TestStalling(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	drip := func(w http.ResponseWriter, _ *http.Request) {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				_, _ = w.Write([]byte("x"))
				_ = http.NewResponseController(w).Flush()
			}
		}
	}
	n := newNetwork(t, map[string]http.HandlerFunc{
		"https://far.com/silent": func(http.ResponseWriter, *http.Request) { <-done },
		"https://far.com/drip":   drip,
		"https://far.com/short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write(make([]byte, 10))
		},
		"https://far.com/large":    text(strings.Repeat("x", 200)),
		"https://far.com/headers":  func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 2*maxHeader)) },
		"https://far.com/relative": to("ftp://far.com/"),
	})
	t.Cleanup(func() { close(done) })
	hasty, patient := n.client(Options{Patience: 500 * time.Millisecond}), n.client(Options{})
	// On a busy machine the time may be over before there is a connection.
	const tooLate = "the server sends nothing or next to nothing|[Tt]imeout"
	for path, test := range map[string]struct {
		c    *Client
		want string
	}{
		"silent": {hasty, tooLate}, "drip": {hasty, tooLate},
		"short": {patient, "the server has closed the connection after 10 of 100 bytes"}, "large": {patient, "it has more than 100 bytes"},
		"headers": {patient, "response headers"}, "relative": {patient, "unsupported scheme"},
	} {
		if _, err := test.c.All(t.Context(), Request{URL: "https://far.com/" + path}, 100); err == nil || !regexp.MustCompile(test.want).MatchString(err.Error()) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestSilentHandshake shows that a server can't hold us before it has said who
// it is.
func TestSilentHandshake(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c := New(Options{Patience: 100 * time.Millisecond})
	if _, err := c.Get(t.Context(), Request{URL: "https://" + listener.Addr().String() + "/"}); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("got %v", err)
	}
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, map[string]http.HandlerFunc{})
	c := New(Options{Dial: n.dial})
	if _, err := c.Get(t.Context(), Request{URL: "https://far.com/"}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
}

func TestAgent(t *testing.T) {
	t.Parallel()
	var agent, extra string
	n := newNetwork(t, map[string]http.HandlerFunc{"https://far.com/": func(_ http.ResponseWriter, r *http.Request) {
		agent, extra = r.UserAgent(), r.Header.Get("If-None-Match")
	}})
	c := n.client(Options{UserAgent: "rkt/1.2.3"})
	if _, err := c.All(t.Context(), Request{URL: "https://far.com/", Header: map[string]string{"If-None-Match": "x"}}, 1); err != nil || agent != "rkt/1.2.3" || extra != "x" {
		t.Errorf("%q, %q, %v", agent, extra, err)
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Wed, 21 Oct 2099 07:28:00 GMT")
	f.Add(" 0 ")
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		if after, ok := retryAfter(value, now); ok != (after > 0) || after > maxRetry {
			t.Errorf("%q: %v, %v", value, after, ok)
		}
	})
}

// TestProxy shows that proxies are asked, and that nobody elsewhere is led to
// this machine by way of one.
func TestProxy(t *testing.T) {
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String())
		if r.URL.Path == "/local" {
			w.Header().Set("Location", "http://127.0.0.1:9/")
			w.WriteHeader(http.StatusFound)
		}
	}))
	defer proxy.Close()
	u, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	hops := newHops(New(Options{AllowHTTP: true}))
	hops.proxy = http.ProxyURL(u)
	hops.open.Proxy = hops.proxy
	client := &http.Client{Transport: hops}
	for location, want := range map[string]error{"http://far.com/x": nil, "http://far.com/local": ErrLocal} {
		request, err := http.NewRequestWithContext(withTrail(t.Context(), false), http.MethodGet, location, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", location, err)
		}
		if err == nil {
			_ = response.Body.Close()
		}
	}
	if len(asked) != 2 {
		t.Errorf("the proxy was asked for %q", asked)
	}
}
