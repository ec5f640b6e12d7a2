package stories_test

import (
	"bytes"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// authority writes the certificate of a server for SSL_CERT_FILE and returns
// that variable.
func authority(t *testing.T, server *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "authority.pem")
	var b bytes.Buffer
	if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return "SSL_CERT_FILE=" + path
}

// trustOverHTTPS shows what the promise of https is taken for: this one key, and
// only if nobody can have got between.
func trustOverHTTPS(t *testing.T, p programs) {
	t.Helper()
	files := http.FileServer(http.Dir(p.images))
	plain := httptest.NewServer(files)
	defer plain.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case r.URL.Path == "/elsewhere":
			http.Redirect(w, r, plain.URL+"/key", http.StatusFound)
		case r.URL.Path == "/guarded" && user+":"+password != "u:p":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/guarded":
			http.ServeFile(w, r, p.images+"/key")
		default:
			files.ServeHTTP(w, r)
		}
	}))
	defer secure.Close()
	env := append(os.Environ(), authority(t, secure))
	const tty = "unable to ask user to review fingerprint due to lack of tty"
	for _, test := range []struct {
		args   string
		status int
		want   string
	}{
		{"trust --root $HTTPS/key", 254, tty},
		{"trust --root --trust-keys-from-https $HTTPS/key", 0, `Trusting "$HTTPS/key" for all images without fingerprint review.`},
		{"trust --root --trust-keys-from-https $HTTPS/key $IMAGES/other-key", 254, `(?s)without fingerprint review.*` + tty},
		{"trust --root --trust-keys-from-https --insecure-allow-http $HTTP/key", 254, tty},
		{"trust --root --trust-keys-from-https --insecure-allow-http $HTTPS/elsewhere", 254, `a redirection from https to http is never followed`},
		{"trust --root --skip-fingerprint-review --insecure-allow-http $HTTPS/elsewhere", 254, `a redirection from https to http is never followed`},
		{"trust --root --trust-keys-from-https --insecure-options=tls $HTTPS/key", 254, tty},
		{"trust --root --skip-fingerprint-review $HTTPS/guarded", 254, `error downloading the key: bad HTTP status code: 401`},
		{"trust --root --skip-fingerprint-review --local-config=$CONFIGURED $HTTPS/guarded", 0, `Added root key`},
		{"trust --root --skip-fingerprint-review $HTTPS/missing $HTTPS/key", 254, `(?s)Added root key.*key "$HTTPS/missing": error downloading the key: bad HTTP status code: 404`},
	} {
		at := place{programs: p, dir: t.TempDir()}
		configured := filepath.Join(at.dir, "configured")
		text := `{"rktVersion": "v1", "rktKind": "auth", "domains": ["` + strings.TrimPrefix(secure.URL, "https://") +
			`"], "type": "basic", "credentials": {"user": "u", "password": "p"}}`
		if err := os.MkdirAll(configured+"/auth.d", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(configured+"/auth.d/a.json", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		names := strings.NewReplacer("$HTTPS", secure.URL, "$HTTP", plain.URL, "$IMAGES", p.images, "$CONFIGURED", configured)
		cmd := at.command(t, strings.Fields(names.Replace(test.args))...)
		cmd.Env = env
		out, _ := cmd.CombinedOutput()
		want := strings.ReplaceAll(test.want, "$HTTPS", regexp.QuoteMeta(secure.URL))
		if cmd.ProcessState.ExitCode() != test.status || !regexp.MustCompile(want).Match(out) {
			t.Errorf("%s: status %d, no %s in\n%s", test.args, cmd.ProcessState.ExitCode(), want, out)
		}
	}
}
