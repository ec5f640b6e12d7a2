package service

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"rkt/internal/metadata"
)

// FuzzRequest: whatever is asked, who has not the token of his own pod learns
// nothing, and nothing that was asked ends the service.
func FuzzRequest(f *testing.F) {
	dir := metadata.Directory(f.TempDir())
	s := &Service{dir: dir, key: make([]byte, keyBytes), notify: func(string) {}, pods: make(map[string]*metadata.Registration)}
	made := make(map[string]*metadata.Registration)
	for uuid, source := range map[string]string{uuidA: podA, uuidB: podB} {
		made[uuid] = &metadata.Registration{
			UUID: uuid, Token: metadata.NewToken(), Gateway: netip.MustParseAddr(gateway), Sources: []netip.Addr{netip.MustParseAddr(source)},
			Pod: json.RawMessage(podManifest), Images: map[string]json.RawMessage{"web": json.RawMessage(imageManifest)},
		}
		if err := dir.Add(made[uuid]); err != nil {
			f.Fatal(err)
		}
	}
	if err := s.read(); err != nil {
		f.Fatal(err)
	}
	handler := s.handler()
	f.Add("GET", "/TOKEN/acMetadata/v1/pod/annotations/x", "")
	f.Add("GET", "/acMetadata/v1/apps/web/image/id", "")
	f.Add("GET", "/OTHER/acMetadata/v1/apps/web/annotations/a", "")
	f.Add("POST", "/TOKEN/acMetadata/v1/pod/hmac/sign", "content=x")
	f.Add("POST", "/TOKEN/acMetadata/v1/pod/hmac/verify", "content=x&uuid="+uuidA+"&signature=AAAA")
	f.Fuzz(func(t *testing.T, method, path, body string) {
		path = strings.ReplaceAll(strings.ReplaceAll(path, "TOKEN", made[uuidA].Token), "OTHER", made[uuidB].Token)
		request := httptest.NewRequest(http.MethodGet, "/", strings.NewReader(body))
		request.Method, request.URL = method, &url.URL{Path: path}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.RemoteAddr = podA + ":1"
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, request)
		may := strings.HasPrefix(strings.TrimPrefix(path, "/"), made[uuidA].Token+"/")
		if w.Code == http.StatusOK && !may {
			t.Errorf("%s %q: %q", method, path, w.Body)
		}
	})
}
