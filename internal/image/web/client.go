// Package web asks servers for what images need: pages, keys, signatures and
// the images themselves. It is the only HTTP client of rkt, so that all of them
// get the same care.
//
// Servers are strangers, and so is whoever a server sends us on to. A server
// that stalls is left, however it stalls. A redirection never leads from https
// to http, takes no credentials along to another host, and leads to this
// machine or the link it is on only from there: a server elsewhere has no
// business with what only we can reach.
package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"rkt/internal/errhint"
)

const (
	dialTimeout   = 20 * time.Second
	headerTimeout = time.Minute
	wholeTimeout  = 2 * time.Minute // for what is small
	maxRedirects  = 10
	maxHeader     = 64 << 10
)

// Errors of asking. Each may come wrapped; use errors.Is.
var (
	// ErrInsecure means that the user has not allowed the way that was asked
	// for.
	ErrInsecure = errors.New("plain http is not allowed")
	// ErrDowngrade means that a server leads from https to http.
	ErrDowngrade = errors.New("a redirection from https to http is never followed")
	// ErrLocal means that a server elsewhere leads to this machine.
	ErrLocal = errors.New("a server elsewhere may not lead to this machine")
	// ErrRedirects means that servers lead on and on.
	ErrRedirects = errors.New("too many redirects")
	// ErrStalled means that a server sends too little to ever end.
	ErrStalled = errors.New("the server sends nothing or next to nothing")
	// ErrTooLarge means that there is more than there may be.
	ErrTooLarge = errors.New("it is too large")
)

// Options say how to ask. The zero value checks everything.
type Options struct {
	InsecureTLS bool // certificates are not checked
	AllowHTTP   bool // plain http is allowed
	UserAgent   string
	// Credentials, if set, wraps what sends requests, so that each of them gets
	// the credentials that are meant for its server.
	Credentials func(http.RoundTripper) http.RoundTripper
	// Dial, if set, makes connections in place of the network.
	Dial DialFunc
	// Patience, if set, replaces every time that a server may take.
	Patience time.Duration
}

// Client asks servers. It may be used by several goroutines at once.
type Client struct {
	options Options
	http    *http.Client
	close   func()

	mu    sync.Mutex
	apart map[string]bool // hosts that are not this machine
}

// New returns a client. Proxies are those of the environment.
func New(o Options) *Client {
	c := &Client{options: o, apart: make(map[string]bool)}
	hops := newHops(c)
	var transport http.RoundTripper = hops
	if o.Credentials != nil {
		transport = o.Credentials(hops)
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: c.checkRedirect}
	c.close = hops.CloseIdleConnections
	return c
}

// Close closes the connections that are kept for the next request.
func (c *Client) Close() { c.close() }

// Request is what to ask a server for.
type Request struct {
	URL string
	// From is the URL of the page that has led here, if one has.
	From string
	// Header has header lines to add.
	Header map[string]string
	// Accept lists the statuses that are taken for an answer, 200 if empty.
	Accept []int
}

// Response is an answer. Its Body must be closed.
type Response struct {
	Status int
	Header http.Header
	Length int64 // of the body in bytes, -1 if it is not known
	Body   io.ReadCloser
}

// Get asks for what is at a URL. The body comes as it is sent, because
// signatures are over compressed bytes. Reading it ends with an error unless
// all of it has come. An answer with another status than wanted is a
// *StatusError.
func (c *Client) Get(ctx context.Context, r Request) (*Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	response, err := c.send(ctx, r)
	if err != nil {
		err = causeOf(ctx, err)
		cancel(nil)
		return nil, err
	}
	if err := checkStatus(response, r.Accept); err != nil {
		cancel(nil)
		return nil, errors.Join(err, response.Body.Close())
	}
	return &Response{
		Status: response.StatusCode,
		Header: response.Header,
		Length: response.ContentLength,
		Body:   newBody(ctx, cancel, response, c.wait(stallWindow)),
	}, nil
}

func (c *Client) send(ctx context.Context, r Request) (*http.Response, error) {
	ctx = withTrail(ctx, c.isApart(r.From))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL, nil)
	if err == nil {
		err = c.checkScheme(request.URL)
	}
	if err != nil {
		return nil, err
	}
	for name, value := range r.Header {
		request.Header.Set(name, value)
	}
	request.Header.Set("User-Agent", c.options.UserAgent)
	response, err := c.http.Do(request)
	// What was asked for is known, and may have a password in it.
	var about *url.Error
	if errors.As(err, &about) {
		err = about.Err
	}
	return response, err
}

// Small returns a context for getting something small, which is to be there
// whole in good time.
func (c *Client) Small(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.wait(wholeTimeout), ErrStalled)
}

// All returns all of what is at a URL, at most limit bytes: ErrTooLarge.
func (c *Client) All(ctx context.Context, r Request, limit int64) (b []byte, err error) {
	ctx, cancel := c.Small(ctx)
	defer cancel()
	response, err := c.Get(ctx, r)
	if err != nil {
		return nil, err
	}
	b, err = io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, limit)
	}
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	return b, nil
}

// Page opens the page at a URL.
func (c *Client) Page(ctx context.Context, location string) (io.ReadCloser, error) {
	response, err := c.Get(ctx, Request{URL: location})
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

// checkRedirect decides about following a redirection.
func (c *Client) checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return ErrRedirects
	}
	last := via[len(via)-1].URL
	if last.Scheme == "https" && r.URL.Scheme == "http" {
		return fmt.Errorf("%w: %s", ErrDowngrade, r.URL.Redacted())
	}
	if err := c.checkScheme(r.URL); err != nil {
		return err
	}
	// Neither what the user has put into a URL nor where it was is for others.
	r.Header.Del("Referer")
	if r.URL.Host != via[0].URL.Host {
		r.Header.Del("Authorization")
	}
	return nil
}

func (c *Client) checkScheme(u *url.URL) error {
	if u.Scheme == "https" || u.Scheme == "http" && c.options.AllowHTTP {
		return nil
	}
	if u.Scheme == "http" {
		return errhint.With(fmt.Errorf("%w: %s", ErrInsecure, u.Redacted()), "use https, or allow it with --insecure-options=http")
	}
	return fmt.Errorf("unsupported scheme in %s", u.Redacted())
}

// wait returns how long to wait for what usually gets d.
func (c *Client) wait(d time.Duration) time.Duration {
	if c.options.Patience > 0 {
		return c.options.Patience
	}
	return d
}

func (c *Client) tlsConfig() *tls.Config {
	return &tls.Config{InsecureSkipVerify: c.options.InsecureTLS} //nolint:gosec // the user's wish
}

// causeOf returns why the context was canceled if that is what err comes from.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}
