package stories_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// fetchByURL gets images and keys from a server.
func fetchByURL(t *testing.T, p programs) {
	t.Helper()
	files := http.FileServer(http.Dir(p.images))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken.aci" {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(make([]byte, 1000))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		r.URL.Path = strings.Replace(r.URL.Path, "broken", "app", 1)
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	at := place{programs: p, dir: t.TempDir()}
	for _, test := range []struct {
		args   string
		status int
		want   string
	}{
		{"trust --root --skip-fingerprint-review $URL/key", 254, "--insecure-allow-http required for http URLs"},
		{"trust --root --skip-fingerprint-review --insecure-allow-http $URL/key", 0, "Added root key at"},
		{"fetch $URL/app.aci", 254, `(?m)^fetch: image "$URL/app.aci": .*plain http is not allowed`},
		{"--insecure-options=http fetch $URL/app.aci", 0, "(?s)Downloading signature: .* B\nDownloading ACI: .* kB\nimage: signature verified:\n"},
		{"--insecure-options=http fetch $URL/missing.aci", 254, "404"},
		{"--insecure-options=http fetch $URL/unsigned.aci", 254, "image has no signature: .*404"},
		{"--insecure-options=http fetch $URL/broken.aci", 254, `(?m)^fetch: image "$URL/broken.aci": error downloading ACI: the server has closed the connection after 1000 of 100000 bytes$`},
		{"--insecure-options=http --debug run $URL/app.aci", 0, "image: using image from local store for url $URL/app.aci"},
		{"--insecure-options=http run --pull-policy=update $URL/app.aci", 0, "signature verified"},
	} {
		args := strings.Fields(strings.ReplaceAll(test.args, "$URL", server.URL))
		cmd := at.command(t, args...)
		out, _ := cmd.CombinedOutput()
		want := strings.ReplaceAll(test.want, "$URL", regexp.QuoteMeta(server.URL))
		if cmd.ProcessState.ExitCode() != test.status || !regexp.MustCompile(want).Match(out) {
			t.Errorf("%s: status %d, no %s in\n%s", test.args, cmd.ProcessState.ExitCode(), want, out)
		}
	}
}
