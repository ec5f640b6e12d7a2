package cli

import (
	"net/http"
	"sync"

	"rkt/internal/config"
)

// credentials returns what gives requests the credentials that are configured.
// The configuration is read at the first request: what is wrong with it matters
// only then.
func (p *program) credentials() func(http.RoundTripper) http.RoundTripper {
	read := sync.OnceValues(p.configDirs().Auth)
	return func(base http.RoundTripper) http.RoundTripper { return authorized{read, base} }
}

type authorized struct {
	read func() (*config.Config, error)
	base http.RoundTripper
}

func (a authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	c, err := a.read()
	if err != nil {
		return nil, unreadable{err}
	}
	return c.Authorizer().Transport(a.base).RoundTrip(r)
}

// unreadable is an error in the configuration. It is no server's fault: nobody else
// needs to be asked.
type unreadable struct{ error }

func (u unreadable) Unwrap() error { return u.error }

// Unasked marks the error as one of who asks, for discovery.
func (unreadable) Unasked() {}

// CloseIdleConnections closes those of what sends the requests.
func (a authorized) CloseIdleConnections() {
	if closer, ok := a.base.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}
