package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
)

// DialFunc makes a connection.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// hops sends the requests of a chain of redirections. Once one was answered by
// another machine, those that follow are sent by a transport that doesn't
// connect to this one.
type hops struct {
	client      *Client
	open, apart *http.Transport
	proxy       func(*http.Request) (*url.URL, error)
}

func newHops(c *Client) *hops {
	return &hops{client: c, open: c.transport(anywhere), apart: c.transport(elsewhere), proxy: http.ProxyFromEnvironment}
}

func (c *Client) transport(allow func(netip.Addr) error) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            c.dialer(allow),
		TLSClientConfig:        c.tlsConfig(),
		TLSHandshakeTimeout:    c.wait(dialTimeout),
		ResponseHeaderTimeout:  c.wait(headerTimeout),
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}

// dialer makes connections to the addresses that are allowed.
func (c *Client) dialer(allow func(netip.Addr) error) DialFunc {
	dialer := &net.Dialer{Timeout: c.wait(dialTimeout), Control: func(_, address string, _ syscall.RawConn) error {
		return allow(addressOf(address))
	}}
	if c.options.Dial == nil {
		return dialer.DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := c.options.Dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if err := allow(addressOf(conn.RemoteAddr().String())); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return conn, nil
	}
}

func anywhere(netip.Addr) error { return nil }

func elsewhere(a netip.Addr) error {
	if isLocal(a) {
		return fmt.Errorf("%w, %s", ErrLocal, a)
	}
	return nil
}

// isLocal says whether an address is this machine's, or of the link that it is
// on, where cloud providers keep a machine's secrets.
func isLocal(a netip.Addr) bool {
	a = a.Unmap()
	return !a.IsValid() || a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast()
}

func addressOf(address string) netip.Addr {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr()
}

// trail is what is known of a chain of requests.
type trail struct{ apart atomic.Bool } // another machine has answered

type trailKey struct{}

func withTrail(ctx context.Context, apart bool) context.Context {
	t := &trail{}
	t.apart.Store(apart)
	return context.WithValue(ctx, trailKey{}, t)
}

// RoundTrip sends one request of a chain.
func (h *hops) RoundTrip(r *http.Request) (*http.Response, error) {
	t, ok := r.Context().Value(trailKey{}).(*trail)
	if !ok {
		return nil, fmt.Errorf("the request for %s belongs to nothing", r.URL.Redacted())
	}
	proxy, err := h.proxy(r)
	if err != nil {
		return nil, err
	}
	if proxy != nil {
		return h.byProxy(r, t)
	}
	transport := h.open
	if t.apart.Load() {
		transport = h.apart
	}
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if !isLocal(addressOf(info.Conn.RemoteAddr().String())) {
			h.client.noteApart(r.URL, t)
		}
	}}
	return transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
}

// byProxy sends a request by way of a proxy, which knows where names lead. The
// name is all that can be looked at here.
func (h *hops) byProxy(r *http.Request, t *trail) (*http.Response, error) {
	local := namesLocal(r.URL.Hostname())
	if local && t.apart.Load() {
		return nil, fmt.Errorf("%w, %s", ErrLocal, r.URL.Hostname())
	}
	if !local {
		h.client.noteApart(r.URL, t)
	}
	return h.open.RoundTrip(r)
}

func namesLocal(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return isLocal(a)
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// CloseIdleConnections closes those that are kept.
func (h *hops) CloseIdleConnections() {
	h.open.CloseIdleConnections()
	h.apart.CloseIdleConnections()
}

func (c *Client) noteApart(u *url.URL, t *trail) {
	t.apart.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apart[u.Host] = true
}

// isApart says whether the server of a page that was read is another machine.
func (c *Client) isApart(page string) bool {
	u, err := url.Parse(page)
	if page == "" || err != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.apart[u.Host]
}
