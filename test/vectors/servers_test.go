package vectors

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

const imagePath = "/app.aci"

// servers is the table of servers.
func servers() []serverVector {
	const refused = "a server elsewhere may not lead to this machine, 127.0.0.1"
	stalled := "the server sends nothing or next to nothing"
	return append(plainServers(), []serverVector{
		{"redirect to this machine", func(s *server, aci, _ []byte) {
			s.handlers["/elsewhere"] = serve(aci)
			redirect(func(s *server) string { return s.https.URL + "/elsewhere" })(s, nil, nil)
		}, accepted, refused, false},
		{"tag to this machine", func(s *server, _, _ []byte) {
			s.page(`<meta name="ac-discovery" content="example.com ` + s.https.URL + `/app.{ext}">`)
		}, accepted, refused, false},
		{"idle", func(s *server, aci, _ []byte) { s.handlers[imagePath] = slow(aci[:100], time.Hour) }, stalled, "", true},
		{"slow-loris", func(s *server, aci, _ []byte) { s.handlers[imagePath] = slow(aci, time.Second) }, stalled, "", true},
	}...)
}

// plainServers are those with the same verdict in every way.
func plainServers() []serverVector {
	rows := []struct {
		name  string
		spoil func(s *server, aci, sig []byte)
		want  string
	}{
		{"good", func(*server, []byte, []byte) {}, accepted},
		{"too long", func(s *server, aci, _ []byte) {
			s.handlers[imagePath] = serve(append(append([]byte{}, aci...), make([]byte, 512)...))
		}, "the image is not what was signed"},
		{
			"early close", func(s *server, aci, _ []byte) { s.handlers[imagePath] = cut(aci, len(aci)) },
			`the server has closed the connection after [0-9]+ of [0-9]+ bytes`,
		},
		{
			"wrong length", func(s *server, aci, _ []byte) { s.handlers[imagePath] = cut(aci, 1<<20) },
			`the server has closed the connection after [0-9]+ of 1048576 bytes`,
		},
		{
			"early close without a length", func(s *server, aci, _ []byte) { s.handlers[imagePath] = cut(aci, -1) },
			`the server has closed the connection after [0-9]+ of an unknown number of bytes`,
		},
		{"404", status(http.StatusNotFound), "(?m)error downloading ACI: bad HTTP status code: 404$"},
		{"500", status(http.StatusInternalServerError), "(?m)error downloading ACI: bad HTTP status code: 500$"},
		{
			"503", status(http.StatusServiceUnavailable, "Retry-After", "90"),
			`(?s)error downloading ACI: bad HTTP status code: 503\n.*hint: the server asks to try again in 1m30s\n`,
		},
		{
			"no signature", func(s *server, _, _ []byte) { delete(s.handlers, imagePath+".asc") },
			"image has no signature: error downloading the signature file: bad HTTP status code: 404",
		},
		{"deferred for ever", func(s *server, _, _ []byte) {
			s.handlers[imagePath+".asc"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }
		}, "the server has deferred it again"},
		{"HTML in place of an image", func(s *server, _, _ []byte) {
			s.handlers[imagePath] = serve([]byte("\n<!DOCTYPE html><title>Sign in</title>"))
		}, "the server has sent a web page in place of an image"},
		{"HTML in place of a signature", func(s *server, _, _ []byte) {
			s.handlers[imagePath+".asc"] = serve([]byte("<!DOCTYPE html><title>Sign in</title>"))
		}, "keystore: no valid signatures found in signature file"},
		{"endless signature", func(s *server, _, _ []byte) {
			s.handlers[imagePath+".asc"] = serve([]byte(strings.Repeat("x", 2<<20)))
		}, "error downloading the signature file: it has more than 1048576 bytes"},
		{"redirect loop", redirect(func(*server) string { return imagePath }), "error downloading ACI: too many redirects"},
		{"redirect", func(s *server, aci, _ []byte) {
			s.handlers["/elsewhere"] = serve(aci)
			redirect(func(*server) string { return "/elsewhere" })(s, nil, nil)
		}, accepted},
		{
			"redirect to http", redirect(func(s *server) string { return strings.Replace(s.https.URL, "https", "http", 1) + "/x" }),
			"a redirection from https to http is never followed",
		},
		{"redirect to a file", redirect(func(*server) string { return "file:///etc/passwd" }), "unsupported scheme in file:///etc/passwd"},
		{"redirect with credentials", redirectWithCredentials, accepted},
		{"conflicting tags", func(s *server, _, _ []byte) {
			s.page(`<meta name="ac-discovery" content="example.com https://example.com/wrong.{ext}">` +
				`<meta name="ac-discovery" content="example.com/app https://example.com/app.{ext}">` +
				`<meta name="ac-discovery" content="example.com/app https://example.com/other.{ext}">`)
		}, accepted},
		{"page with nonsense", func(s *server, _, _ []byte) {
			s.page(strings.Repeat("<title></title><meta name=x <<<>>", 1000) + `><meta name="ac-discovery" content="example.com https://example.com/app.{ext}">`)
		}, accepted},
	}
	var vectors []serverVector
	for _, row := range rows {
		vectors = append(vectors, serverVector{name: row.name, spoil: row.spoil, want: row.want})
	}
	return vectors
}

// cut serves half of some data, says that it has the given length, -1 for none,
// and closes the connection.
func cut(data []byte, length int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if length >= 0 {
			w.Header().Set("Content-Length", fmt.Sprint(length))
		}
		_, _ = w.Write(data[:len(data)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func status(code int, header ...string) func(*server, []byte, []byte) {
	return func(s *server, _, _ []byte) {
		s.handlers[imagePath] = func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}
	}
}

func redirect(to func(*server) string) func(*server, []byte, []byte) {
	return func(s *server, _, _ []byte) {
		s.handlers[imagePath] = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", to(s))
			w.WriteHeader(http.StatusFound)
		}
	}
}

// slow serves data a byte at a time, and then nothing, until nobody listens any
// more.
func slow(data []byte, pause time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for i := 0; ; i++ {
			if i < len(data) {
				_, _ = w.Write(data[i : i+1])
				_ = http.NewResponseController(w).Flush()
			}
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
			}
		}
	}
}

// redirectWithCredentials makes the server want credentials and send those who
// have them to another one, which must not get them.
func redirectWithCredentials(s *server, aci, sig []byte) {
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Referer") != "" {
			s.t.Errorf("another host got %v", r.Header)
		}
		serve(map[string][]byte{imagePath: aci, imagePath + ".asc": sig}[r.URL.Path])(w, r)
	}))
	s.t.Cleanup(other.Close)
	guarded := func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "mine" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, "https://other.example.com"+r.URL.Path, http.StatusFound)
	}
	s.handlers[imagePath], s.handlers[imagePath+".asc"] = guarded, guarded
	s.others["other.example.com:443"] = strings.TrimPrefix(other.URL, "https://")
	s.configure("auth.d/auth.json", fmt.Sprintf(`{"rktVersion":"v1","rktKind":"auth","domains":["example.com",%q],"type":"basic",`+
		`"credentials":{"user":"me","password":"mine"}}`, strings.TrimPrefix(s.https.URL, "https://")))
}
