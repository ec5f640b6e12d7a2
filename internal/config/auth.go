package config

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Types of credentials.
const (
	AuthBasic = "basic"
	AuthOAuth = "oauth"
	AuthAWS   = "aws"
)

// Auth is who to be to one server. Which fields are set depends on Type.
type Auth struct {
	Type string

	User     string // of AuthBasic
	Password Secret

	Token Secret // of AuthOAuth

	AccessKeyID     string // of AuthAWS
	SecretAccessKey Secret
	Region          string // empty to take it from the server's name
}

const maxPort = 65535

func parseAuth(doc *value) ([]setting, error) {
	if err := doc.only(fieldVersion, fieldKind, "domains", "type", fieldCredentials); err != nil {
		return nil, err
	}
	domains, err := doc.texts("domains")
	if err != nil {
		return nil, err
	}
	auth, err := parseCredentials(doc)
	if err != nil {
		return nil, err
	}
	var settings []setting
	for _, domain := range domains {
		host, ok := canonicalHost(domain.text)
		if !ok {
			return nil, domain.errorf("%s is not a host, or a host and a port", harmless(domain.text))
		}
		if auth.Type == AuthAWS && auth.Region == "" && regionOf(host) == "" {
			return nil, domain.errorf("%q does not say in which region it is, and awsRegion is missing", domain.text)
		}
		settings = append(settings, setting{
			what:  "credentials for " + host,
			at:    domain,
			apply: func(c *Config) { c.Auth[host] = auth },
		})
	}
	return settings, nil
}

func parseCredentials(doc *value) (auth Auth, err error) {
	if auth.Type, err = doc.string("type"); err != nil {
		return auth, err
	}
	credentials, err := doc.member(fieldCredentials, kindObject)
	if err != nil {
		return auth, err
	}
	switch auth.Type {
	case AuthBasic:
		auth.User, auth.Password, err = parseBasic(doc)
	case AuthOAuth:
		err = auth.parseOAuth(credentials)
	case AuthAWS:
		err = auth.parseAWS(credentials)
	default:
		err = doc.members["type"].errorf("%q is none of %s, %s, %s", auth.Type, AuthBasic, AuthOAuth, AuthAWS)
	}
	return auth, err
}

func (a *Auth) parseOAuth(credentials *value) error {
	if err := credentials.only("token"); err != nil {
		return err
	}
	token, err := credentials.string("token")
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return credentials.members["token"].errorf("has characters that can't be in a token")
	}
	a.Token = Secret(token)
	return err
}

func (a *Auth) parseAWS(credentials *value) (err error) {
	if err := credentials.only("accessKeyID", "secretAccessKey", "awsRegion"); err != nil {
		return err
	}
	if a.AccessKeyID, err = credentials.string("accessKeyID"); err != nil {
		return err
	}
	secret, err := credentials.string("secretAccessKey")
	if err != nil {
		return err
	}
	a.SecretAccessKey = Secret(secret)
	a.Region, err = credentials.optional("awsRegion")
	return err
}

// canonicalHost returns the one way of writing a server, which leaves out the
// port of https.
func canonicalHost(s string) (string, bool) {
	u, err := url.Parse("https://" + s)
	if err != nil || u.Host != s || u.Hostname() == "" {
		return "", false
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if strings.ContainsAny(host, " *") || strings.HasSuffix(s, ":") {
		return "", false
	}
	if port != "" {
		if n, err := strconv.ParseUint(port, 10, 32); err != nil || n < 1 || n > maxPort {
			return "", false
		}
	}
	if port == "" || port == "443" {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return host, true
	}
	return net.JoinHostPort(host, port), true
}

// Authorizer gives requests the credentials for the servers that they go to. It
// must be asked anew for the request that follows a redirection.
type Authorizer struct {
	auth map[string]Auth
	now  func() time.Time
}

// Authorizer returns one for the credentials of the configuration.
func (c *Config) Authorizer() *Authorizer { return &Authorizer{auth: c.Auth, now: time.Now} }

// Hosts returns the servers that there are credentials for, sorted.
func (c *Config) Hosts() []string {
	var hosts []string
	for host := range c.Auth {
		hosts = append(hosts, host)
	}
	slices.Sort(hosts)
	return hosts
}

// Authorize adds the credentials for the host and port of the request to its
// headers. A request that is not over https, or has been given credentials in
// its URL, is left as it is. The request must not have a body.
func (a *Authorizer) Authorize(r *http.Request) error {
	if r.URL.Scheme != "https" || r.Header.Get("Authorization") != "" {
		return nil
	}
	host, ok := canonicalHost(r.URL.Host)
	if !ok {
		return nil
	}
	auth, ok := a.auth[host]
	if !ok {
		return nil
	}
	switch auth.Type {
	case AuthBasic:
		r.SetBasicAuth(auth.User, auth.Password.Reveal())
	case AuthOAuth:
		r.Header.Set("Authorization", "Bearer "+auth.Token.Reveal())
	case AuthAWS:
		return auth.sign(r, host, a.now())
	}
	return nil
}

// Transport returns one that asks the authorizer about each request, those after
// a redirection included, before it passes the request on to base.
func (a *Authorizer) Transport(base http.RoundTripper) http.RoundTripper {
	return transport{a, base}
}

type transport struct {
	authorizer *Authorizer
	base       http.RoundTripper
}

// RoundTrip gives a copy of the request credentials: what is in the original is
// taken over into the request after a redirection.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if err := t.authorizer.Authorize(r); err != nil {
		return nil, err
	}
	return t.base.RoundTrip(r)
}

// CloseIdleConnections closes those of base.
func (t transport) CloseIdleConnections() {
	if closer, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}
