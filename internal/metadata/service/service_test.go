package service

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"rkt/internal/metadata"
)

const (
	podManifest = `{"acVersion":"0.8.11","acKind":"PodManifest","apps":[{"name":"web","image":{"id":"sha512-` +
		`0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},"annotations":[{"name":"b","value":"app's"}]}],` +
		`"volumes":null,"isolators":null,"annotations":[{"name":"example.com/x","value":"of the pod"}],"ports":null}`
	imageManifest = `{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/web",` +
		`"annotations":[{"name":"a","value":"image's"},{"name":"b","value":"image's"}]}`

	// Any address that begins with 127 is this machine's: those of the tests'
	// gateways and pods are nobody else's.
	gateway, otherGateway = "127.81.0.1", "127.82.0.1"
	podA, podB, stranger  = "127.81.0.2", "127.81.0.3", "127.81.0.9"
	uuidA, uuidB          = "6733c088-a507-4694-aabf-5bd95ce3f3d7", "00000000-a507-4694-aabf-5bd95ce3f3d7"
)

// running is a service in a directory of the test's own.
type running struct {
	*testing.T
	dir  metadata.Directory
	port uint16
	stop func()
}

func start(t *testing.T) *running {
	t.Helper()
	r := &running{T: t, dir: metadata.Directory(t.TempDir())}
	free, err := net.Listen("tcp", gateway+":0")
	if err != nil {
		t.Fatal(err)
	}
	r.port = netip.MustParseAddrPort(free.Addr().String()).Port()
	free.Close()
	r.run()
	return r
}

// run starts the service, again.
func (r *running) run() {
	r.Helper()
	s, err := Open(r.dir, r.port, func(line string) { r.Log(line) })
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-served, s.Close()); err != nil {
			r.Error(err)
		}
	}
	r.Cleanup(r.stop)
}

// register adds a pod and waits until it is served.
func (r *running) register(uuid, gateway, source string) *metadata.Registration {
	r.Helper()
	made := &metadata.Registration{
		UUID: uuid, Token: metadata.NewToken(), Gateway: netip.MustParseAddr(gateway), Sources: []netip.Addr{netip.MustParseAddr(source)},
		Pod: json.RawMessage(podManifest), Images: map[string]json.RawMessage{"web": json.RawMessage(imageManifest)},
	}
	if err := r.dir.Add(made); err != nil {
		r.Fatal(err)
	}
	port, err := r.dir.Ask(r.Context(), uuid)
	if err != nil || port != r.port {
		r.Fatalf("port %d, %v", port, err)
	}
	return made
}

// client asks from an address.
func client(source string) *http.Client {
	from := &net.TCPAddr{IP: net.ParseIP(source)}
	return &http.Client{Transport: &http.Transport{
		DialContext: (&net.Dialer{LocalAddr: from}).DialContext, DisableKeepAlives: true,
	}}
}

// get returns status, type and body.
func (r *running) get(source string, made *metadata.Registration, path string) (status int, kind, body string) {
	r.Helper()
	response, err := client(source).Get(made.URL(r.port) + path)
	if err != nil {
		r.Fatal(err)
	}
	return r.read(response)
}

func (r *running) read(response *http.Response) (status int, kind, body string) {
	r.Helper()
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		r.Fatal(err)
	}
	return response.StatusCode, response.Header.Get("Content-Type"), string(b)
}

func TestAnswers(t *testing.T) {
	r := start(t)
	made := r.register(uuidA, gateway, podA)
	const text, object = "text/plain; charset=us-ascii", "application/json"
	for path, want := range map[string]struct {
		status     int
		kind, body string
	}{
		"pod/uuid":                      {200, text, uuidA},
		"pod/manifest":                  {200, object, podManifest},
		"pod/annotations":               {200, object, `[{"name":"example.com/x","value":"of the pod"}]`},
		"pod/annotations/example.com/x": {200, text, "of the pod"},
		"pod/annotations/nothing":       {404, "", "no such annotation\n"},
		"apps/web/image/id":             {200, text, "sha512-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
		"apps/web/image/manifest":       {200, object, imageManifest},
		"apps/web/annotations":          {200, object, `[{"name":"a","value":"image's"},{"name":"b","value":"app's"}]`},
		"apps/web/annotations/a":        {200, text, "image's"},
		"apps/web/annotations/b":        {200, text, "app's"},
		"apps/web/annotations/c":        {404, "", "no such annotation\n"},
		"apps/mail/image/id":            {404, "", "404 page not found\n"},
		"pod/hmac/sign":                 {405, "", ""},
		"pod":                           {404, "", "404 page not found\n"},
		"pod/uuid/more":                 {404, "", "404 page not found\n"},
		"../../../etc/passwd":           {404, "", "404 page not found\n"},
	} {
		status, kind, body := r.get(podA, made, "/acMetadata/v1/"+path)
		if status != want.status || body != want.body || want.kind != "" && kind != want.kind {
			t.Errorf("%s: %d %q %q, want %d %q %q", path, status, kind, body, want.status, want.kind, want.body)
		}
	}
}

// TestWhoMayAsk: a token is worth nothing from another's address, and who is no
// registered pod is not even listened to.
func TestWhoMayAsk(t *testing.T) {
	r := start(t)
	a, b := r.register(uuidA, gateway, podA), r.register(uuidB, gateway, podB)
	const path = "/acMetadata/v1/pod/uuid"
	if status, _, _ := r.get(podA, a, path); status != 200 {
		t.Errorf("with its own token: %d", status)
	}
	if status, _, _ := r.get(podA, b, path); status != 401 {
		t.Errorf("with a neighbour's token: %d", status)
	}
	guess := *a
	guess.Token = strings.Repeat("0", 32)
	if status, _, _ := r.get(podA, &guess, path); status != 401 {
		t.Errorf("with no token of anybody's: %d", status)
	}
	if response, err := client(stranger).Get(a.URL(r.port) + path); err == nil {
		response.Body.Close()
		t.Errorf("a stranger with a token gets an answer: %s", response.Status)
	}
	// From the moment on at which the file is gone.
	if err := r.dir.Remove(uuidA); err != nil {
		t.Fatal(err)
	}
	if response, err := client(podA).Get(a.URL(r.port) + path); err == nil {
		if response.Body.Close(); response.StatusCode != 401 {
			t.Errorf("after its end: %s", response.Status)
		}
	}
	if status, _, _ := r.get(podB, b, path); status != 200 {
		t.Errorf("after the neighbour's end: %d", status)
	}
}

// TestWhereItListens: on the gateways of registered pods, as long as there are
// any, and nowhere else.
func TestWhereItListens(t *testing.T) {
	r := start(t)
	open := func(address string) bool {
		conn, err := net.Dial("tcp", netip.AddrPortFrom(netip.MustParseAddr(address), r.port).String())
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	if open(gateway) || open("127.0.0.1") {
		t.Error("it listens for nobody")
	}
	r.register(uuidA, gateway, podA)
	r.register(uuidB, otherGateway, podB)
	if !open(gateway) || !open(otherGateway) || open("127.0.0.1") {
		t.Errorf("it listens at %s: %t, at %s: %t, at 127.0.0.1: %t", gateway, open(gateway), otherGateway, open(otherGateway), open("127.0.0.1"))
	}
	if err := r.dir.Remove(uuidB); err != nil {
		t.Fatal(err)
	}
	if _, err := r.dir.Ask(t.Context(), uuidA); err != nil {
		t.Fatal(err)
	}
	if !open(gateway) || open(otherGateway) {
		t.Error("it still listens for nobody, or no longer for somebody")
	}
	taken, err := net.Listen("tcp", netip.AddrPortFrom(netip.MustParseAddr(otherGateway), r.port).String())
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	made := &metadata.Registration{
		UUID: uuidB, Token: metadata.NewToken(), Gateway: netip.MustParseAddr(otherGateway), Sources: []netip.Addr{netip.MustParseAddr(podB)},
		Pod: json.RawMessage(podManifest), Images: map[string]json.RawMessage{"web": json.RawMessage(imageManifest)},
	}
	if err := r.dir.Add(made); err != nil {
		t.Fatal(err)
	}
	if _, err := r.dir.Ask(t.Context(), uuidB); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a port that is taken: %v", err)
	}
}

// TestStartedAgain: what was registered and signed holds when the service is
// started again, also over what a killed one left.
func TestStartedAgain(t *testing.T) {
	r := start(t)
	made := r.register(uuidA, gateway, podA)
	signature := r.sign(made, "text")
	if _, err := Open(r.dir, r.port, func(string) {}); err == nil || !strings.Contains(err.Error(), "there is a metadata service already") {
		t.Errorf("a second one: %v", err)
	}
	r.stop()
	if _, err := r.dir.Ask(t.Context(), uuidA); err == nil {
		t.Error("there is still one")
	}
	if err := os.WriteFile(r.dir.Socket(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.run()
	if _, err := r.dir.Ask(t.Context(), uuidA); err != nil {
		t.Fatal(err)
	}
	if status, _, body := r.get(podA, made, "/acMetadata/v1/pod/uuid"); status != 200 || body != uuidA {
		t.Errorf("%d %q", status, body)
	}
	if got := r.verify(made, uuidA, "text", signature); got != 200 {
		t.Errorf("what was signed before is not any more: %d", got)
	}
}

func (r *running) post(made *metadata.Registration, path string, values url.Values) (int, string) {
	r.Helper()
	response, err := client(podA).PostForm(made.URL(r.port)+"/acMetadata/v1/pod/hmac/"+path, values)
	if err != nil {
		r.Fatal(err)
	}
	status, _, body := r.read(response)
	return status, body
}

func (r *running) sign(made *metadata.Registration, content string) string {
	r.Helper()
	status, signature := r.post(made, "sign", url.Values{"content": {content}})
	if status != 200 {
		r.Fatalf("status %d", status)
	}
	return signature
}

func (r *running) verify(made *metadata.Registration, uuid, content, signature string) int {
	r.Helper()
	status, _ := r.post(made, "verify", url.Values{"uuid": {uuid}, "content": {content}, "signature": {signature}})
	return status
}

func TestSignatures(t *testing.T) {
	r := start(t)
	made := r.register(uuidA, gateway, podA)
	signature := r.sign(made, "a text")
	for _, test := range []struct {
		uuid, content, signature string
		want                     int
	}{
		{uuidA, "a text", signature, 200},
		{uuidA, "another", signature, 403},
		{uuidB, "a text", signature, 403},
		{uuidA, "a text", "AAAA", 403},
		{uuidA, "a text", "no base64", 400},
		{"nobody", "a text", signature, 400},
	} {
		if got := r.verify(made, test.uuid, test.content, test.signature); got != test.want {
			t.Errorf("%+v: %d", test, got)
		}
	}
	if status, _ := r.post(made, "sign", url.Values{"text": {"x"}}); status != 400 {
		t.Errorf("without content: %d", status)
	}
	if status, _ := r.post(made, "sign", url.Values{"content": {strings.Repeat("x", maxForm)}}); status != 400 {
		t.Errorf("too much content: %d", status)
	}
}

// TestGreedyPod: a pod that opens connections without end has a few, and its
// neighbour is served.
func TestGreedyPod(t *testing.T) {
	r := start(t)
	r.register(uuidA, gateway, podA)
	b := r.register(uuidB, gateway, podB)
	address := netip.AddrPortFrom(netip.MustParseAddr(gateway), r.port).String()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(podA)}}
	for range maxConnections {
		conn, err := dialer.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(patience / 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("it got one more")
	}
	if status, _, _ := r.get(podB, b, "/acMetadata/v1/pod/uuid"); status != 200 {
		t.Errorf("the neighbour gets %d", status)
	}
}

// TestLongHeader is refused before it is read.
func TestLongHeader(t *testing.T) {
	r := start(t)
	made := r.register(uuidA, gateway, podA)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, made.URL(r.port)+"/acMetadata/v1/pod/uuid", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Long", strings.Repeat("x", 4*maxHeader))
	response, err := client(podA).Do(request)
	if err != nil {
		return // the connection was closed while we still sent
	}
	response.Body.Close() // the rest of it may have been cut off
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Error(response.Status)
	}
}
