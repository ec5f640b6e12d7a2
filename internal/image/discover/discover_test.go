package discover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rkt/internal/appc"
)

// site serves pages by host and path over https and, those whose key begins
// with "http:", plain http. It notes what was asked for.
type site struct {
	pages map[string]string
	asked []string
	https *httptest.Server
	plain *httptest.Server
	gone  bool // nobody listens
}

func newSite(t *testing.T, pages map[string]string) *site {
	t.Helper()
	s := &site{pages: pages}
	s.https = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	s.plain = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.https.Close)
	t.Cleanup(s.plain.Close)
	return s
}

func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	key := r.Host + r.URL.Path
	if r.TLS == nil {
		key = "http:" + key
	}
	s.asked = append(s.asked, key+"?"+r.URL.RawQuery)
	page, ok := s.pages[key]
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = io.WriteString(w, page)
}

// Page asks whatever the host is called.
func (s *site) Page(ctx context.Context, url string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	server := s.https
	if request.URL.Scheme == "http" {
		server = s.plain
	}
	transport, ok := server.Client().Transport.(*http.Transport)
	if !ok {
		return nil, errors.New("no transport")
	}
	transport = transport.Clone()
	if transport.TLSClientConfig != nil {
		transport.TLSClientConfig.ServerName = "example.com"
	}
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		address := server.Listener.Addr().String()
		if s.gone {
			address = "127.0.0.1:1"
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("status %d", response.StatusCode), response.Body.Close())
	}
	return response.Body, nil
}

func meta(kind, content string) string {
	return fmt.Sprintf("<!DOCTYPE html><html><head><meta name=%q content=%q></head><body>hello</body></html>", kind, content)
}

func labels(pairs ...string) appc.Labels {
	var l appc.Labels
	for i := 0; i < len(pairs); i += 2 {
		l = append(l, appc.Label{Name: appc.ACIdentifier(pairs[i]), Value: pairs[i+1]})
	}
	return l
}

func TestImage(t *testing.T) {
	t.Parallel()
	const template = "a.com https://dl.a.com/{os}/{arch}/{name}-{version}.{ext}"
	all := labels("version", "v2.0.9", "os", "linux", "arch", "amd64")
	for _, tc := range []struct {
		desc   string
		page   string
		labels appc.Labels
		aci    string
		sig    string // aci and ".asc" if empty
	}{
		{"all fields", meta(imageTag, template), all, "https://dl.a.com/linux/amd64/a.com/b-v2.0.9.aci", ""},
		{"latest", meta(imageTag, template), all[1:], "https://dl.a.com/linux/amd64/a.com/b-latest.aci", ""},
		{"own label", meta(imageTag, "a.com https://a.com/{flavour}.{ext}"), labels("flavour", "sour"), "https://a.com/sour.aci", ""},
		{
			"escaped", meta(imageTag, "a.com https://a.com/{version}.{ext}?v={version}"), labels("version", "../1+x&y{ext}"),
			"https://a.com/..%2F1%2Bx%26y%7Bext%7D.aci?v=..%2F1%2Bx%26y%7Bext%7D",
			"https://a.com/..%2F1%2Bx%26y%7Bext%7D.aci.asc?v=..%2F1%2Bx%26y%7Bext%7D",
		},
		{"no extension", meta(imageTag, "a.com https://a.com/image.aci?x=1"), nil, "https://a.com/image.aci?x=1", "https://a.com/image.aci.asc?x=1"},
		{"first of two", meta(imageTag, "a.com https://one/") + meta(imageTag, "a.com https://two/"), nil, "https://one/", ""},
		{
			"longest of two", "<meta name=ac-discovery content='a.com https://one/a'><meta name=ac-discovery content='a.com/b https://two/a'>",
			nil, "https://two/a", "",
		},
		{
			"first usable", "<meta name=ac-discovery content='a.com https://one/{colour}'><meta name=ac-discovery content='a.com http://two/a'>" +
				"<meta name=ac-discovery content='a.com https://three/a'>", nil, "https://three/a", "",
		},
		{"slash at the end", meta(imageTag, "a.com/ https://one/a"), nil, "https://one/a", ""},
		{"entities", "<meta name='ac-discovery' content='a.com&#32;https://one/a?x&amp;y'>", nil, "https://one/a?x&y", "https://one/a.asc?x&y"},
		{"white space", "<meta content='\n a.com\t\n https://one/a ' name=ac-discovery>", nil, "https://one/a", ""},
		{"first attribute", "<meta name=ac-discovery name=x content='a.com https://one/a' content='a.com https://two/a'>", nil, "https://one/a", ""},
		{"upper case", "<HTML><META NAME='ac-discovery' CONTENT='a.com https://one/a'/>", nil, "https://one/a", ""},
		{"cut off", "<head><meta name=ac-discovery content='a.com https://one/a'><meta name=ac-dis", nil, "https://one/a", ""},
		{"among others", "<title><b></title><style>p{}</style><script>'<meta>'</script><base href=x><link rel=x><noscript></noscript>" +
			"<meta name=ac-discovery content='a.com https://one/a'>", nil, "https://one/a", ""},
	} {
		s := newSite(t, map[string]string{"a.com/b": tc.page})
		d := &Discoverer{Client: s}
		got, err := d.Image(t.Context(), "a.com/b", tc.labels)
		if err != nil {
			t.Errorf("%s: %v", tc.desc, err)
			continue
		}
		if tc.sig == "" {
			tc.sig = tc.aci + ".asc"
		}
		want := &Image{ACI: tc.aci, Signature: tc.sig, Page: "https://a.com/b?ac-discovery=1"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", tc.desc, diff)
		}
	}
}

// TestHostilePages shows what is not taken for a tag, and why.
func TestHostilePages(t *testing.T) {
	t.Parallel()
	const good = "<meta name=ac-discovery content='a.com https://evil/a'>"
	for _, tc := range []struct{ desc, page, want string }{
		{"empty", "", "no meta tag for it"},
		{"in a comment", "<!-- " + good + " -->", "no meta tag for it"},
		{"in a script", "<script>" + good + "</script>", "no meta tag for it"},
		{"in a title", "<title>" + good + "</title>", "no meta tag for it"},
		{"in a template", "<template><template></template>" + good + "</template>", "no meta tag for it"},
		{"in the body", "<body>" + good, "no meta tag for it"},
		{"after the head", "<head></head>" + good, "no meta tag for it"},
		{"in a body without a tag", "<div>" + good + "</div>", "no meta tag for it"},
		{"another prefix", meta(imageTag, "b.com https://evil/a"), "no meta tag for it"},
		{"half an element", meta(imageTag, "a.co https://evil/a"), "no meta tag for it"},
		{"no prefix", meta(imageTag, "/ https://evil/a"), "no meta tag for it"},
		{"one word", meta(imageTag, "https://evil/a"), "no meta tag for it"},
		{"three words", meta(imageTag, "a.com https://evil/a b"), "no meta tag for it"},
		{"no content", "<meta name=ac-discovery>", "no meta tag for it"},
		{"keys only", meta(keysTag, "a.com https://evil/a"), "no meta tag for it"},
		{"unknown field", meta(imageTag, "a.com https://evil/{colour}"), "there is no value for {colour}"},
		{"field without end", meta(imageTag, "a.com https://evil/{name"), "a field has no end"},
		{"http", meta(imageTag, "a.com http://evil/a"), "plain http is not allowed"},
		{"file", meta(imageTag, "a.com file:///etc/passwd"), "is no https URL"},
		{"relative", meta(imageTag, "a.com /a.aci"), "is no https URL"},
		{"opaque", meta(imageTag, "a.com https:evil"), "is no https URL"},
		{"password", meta(imageTag, "a.com https://u:secret@evil/a"), "has a password in it"},
		{"control characters", meta(imageTag, "a.com https://evil/%zz"), "is no URL"},
		{"host from a label", meta(imageTag, "a.com https://{os}/a"), "is no URL"},
		{"far away", strings.Repeat("<meta name=x>", maxPage/10) + good, "no meta tag for it"},
		{"one endless tag", "<meta name='" + strings.Repeat("x", 2*maxPage) + "'>" + good, "no meta tag for it"},
	} {
		s := newSite(t, map[string]string{"a.com": "x", "a.com/": tc.page})
		d := &Discoverer{Client: s}
		_, err := d.Image(t.Context(), "a.com", labels("os", "evil.com/x?", "arch", "amd64"))
		if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %.200v, want %q", tc.desc, err, tc.want)
		}
	}
}

// TestMany shows that the tags of a page are bounded.
func TestMany(t *testing.T) {
	t.Parallel()
	page := strings.Repeat("<meta name=ac-discovery content='x https://x/'>", maxTags) + "<meta name=ac-discovery content='a.com https://one/a'>"
	d := &Discoverer{Client: newSite(t, map[string]string{"a.com/": page})}
	if got, err := d.Image(t.Context(), "a.com", nil); err == nil {
		t.Errorf("got %v", got)
	}
}

func TestWalk(t *testing.T) {
	t.Parallel()
	good := meta(imageTag, "a.com https://one/a")
	for _, tc := range []struct {
		desc  string
		name  string
		pages map[string]string
		http  bool
		page  string // that has the answer
		asked string
	}{
		{"at once", "a.com/b/c", map[string]string{"a.com/b/c": good, "a.com/": good}, true, "https://a.com/b/c", "a.com/b/c"},
		{"top", "a.com/b/c", map[string]string{"a.com/": good}, false, "https://a.com", "a.com/b/c a.com/b a.com/"},
		{"page without tags", "a.com/b", map[string]string{"a.com/b": "hello", "a.com/": good}, true, "https://a.com", "a.com/b a.com/"},
		{"unusable tag", "a.com/b", map[string]string{"a.com/b": meta(imageTag, "a.com {x}"), "a.com/": good}, true, "https://a.com", "a.com/b a.com/"},
		{"http", "a.com/b", map[string]string{"http:a.com/b": good}, true, "http://a.com/b", "a.com/b http:a.com/b"},
		{"http not allowed", "a.com/b", map[string]string{"http:a.com/b": good}, false, "", "a.com/b a.com/"},
		{"nothing", "a.com/b", nil, true, "", "a.com/b http:a.com/b a.com/ http:a.com/"},
	} {
		s := newSite(t, tc.pages)
		d := &Discoverer{Client: s, AllowHTTP: tc.http}
		got, err := d.Image(t.Context(), appc.ACIdentifier(tc.name), nil)
		if (err == nil) != (tc.page != "") || err == nil && got.Page != tc.page+"?ac-discovery=1" {
			t.Errorf("%s: %v, %v", tc.desc, got, err)
		}
		if asked := strings.ReplaceAll(strings.Join(s.asked, " "), "?ac-discovery=1", ""); asked != tc.asked {
			t.Errorf("%s: asked for %s, want %s", tc.desc, asked, tc.asked)
		}
	}
}

func TestAllowedHTTP(t *testing.T) {
	t.Parallel()
	d := &Discoverer{Client: newSite(t, map[string]string{"a.com/": meta(imageTag, "a.com http://one/a")}), AllowHTTP: true}
	if got, err := d.Image(t.Context(), "a.com", nil); err != nil || got.ACI != "http://one/a" {
		t.Errorf("%v, %v", got, err)
	}
}

// TestUnreachable shows that a host that nobody can connect to is not tried for
// each element of a name.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.gone = true
	var diags []string
	d := &Discoverer{Client: s, AllowHTTP: true, Diag: func(text string) { diags = append(diags, text) }}
	_, err := d.Image(t.Context(), "a.com/b/c/d", nil)
	var failed *Error
	if !errors.As(err, &failed) || len(failed.Attempts) != 2 || len(diags) != 2 || !isUnreachable(err) {
		t.Errorf("%v, %v", err, diags)
	}
}

func TestLongName(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	d := &Discoverer{Client: s}
	if _, err := d.Image(t.Context(), appc.ACIdentifier("a.com"+strings.Repeat("/x", 100)), nil); err == nil || len(s.asked) != maxWalk {
		t.Errorf("asked for %d pages, %v", len(s.asked), err)
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("interrupted")
	cancel(reason)
	d := &Discoverer{Client: newSite(t, nil)}
	if _, err := d.Keys(ctx, "a.com/b"); !errors.Is(err, reason) || errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	page := "<head>"
	for _, content := range []string{
		"a.com https://one/key", "a.com/b https://two/key", "b.com https://evil/key", "a.com https://one/key",
		"a.com http://three/key", "a.com https://four/{name}",
	} {
		page += fmt.Sprintf("<meta name=ac-discovery-pubkeys content=%q>", content)
	}
	d := &Discoverer{Client: newSite(t, map[string]string{"a.com/b": page})}
	got, err := d.Keys(t.Context(), "a.com/b/c")
	var urls []string
	for _, k := range got {
		urls = append(urls, k.URL)
	}
	if diff := cmp.Diff([]string{"https://two/key", "https://one/key", "https://four/{name}"}, urls); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	d.Client = newSite(t, map[string]string{"a.com/": meta(keysTag, "a.com http://one/key")})
	if got, err := d.Keys(t.Context(), "a.com"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "plain http is not allowed") {
		t.Errorf("%v, %v", got, err)
	}
}

// broken is a page that ends with an error.
type broken struct{ io.Reader }

func (broken) Close() error { return nil }

type brokenClient struct{}

func (brokenClient) Page(context.Context, string) (io.ReadCloser, error) {
	page := strings.NewReader("<meta name=ac-discovery content='a.com https://one/a'>")
	return broken{io.MultiReader(page, failing{})}, nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestBrokenPage shows that the connection's end is not taken for the page's.
func TestBrokenPage(t *testing.T) {
	t.Parallel()
	d := &Discoverer{Client: brokenClient{}}
	if got, err := d.Image(t.Context(), "a.com", nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v, %v", got, err)
	}
}
