package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"rkt/internal/errhint"
)

const (
	dialTimeout   = 20 * time.Second
	headerTimeout = time.Minute
	maxRedirects  = 10
	maxHeader     = 64 << 10

	// A server has to send leastBytes in every stallWindow.
	stallWindow = 30 * time.Second
	leastBytes  = 8 << 10
)

const (
	maxKeys    = 1 << 20
	keyTimeout = 2 * time.Minute
)

// get opens the body of what is at a URL. It ends with an error unless all of
// it has come.
func (f *Fetcher) get(ctx context.Context, location, label string) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err == nil {
		err = f.checkScheme(request.URL)
	}
	if err != nil {
		cancel(nil)
		return nil, err
	}
	request.Header.Set("User-Agent", "rkt/"+f.Version)
	client := f.client()
	response, err := client.Do(request)
	if err != nil {
		err = causeOf(ctx, err)
		cancel(nil)
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		err := errors.Join(fmt.Errorf("%w: %d", ErrStatus, response.StatusCode), response.Body.Close())
		cancel(nil)
		return nil, err
	}
	d := &download{ctx: ctx, cancel: cancel, response: response, client: client, window: f.wait(stallWindow)}
	if f.Reporter != nil {
		d.transfer = f.Reporter.Transfer(label, response.ContentLength)
	}
	// The timer must be known before it may fire.
	d.timer = time.AfterFunc(math.MaxInt64, d.watch)
	d.timer.Reset(d.window)
	return d, nil
}

// getAll returns all of what is at a URL, at most limit bytes.
func (f *Fetcher) getAll(ctx context.Context, location, label string, limit int64) (b []byte, err error) {
	body, err := f.get(ctx, location, label)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	if b, err = io.ReadAll(io.LimitReader(body, limit+1)); err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return b, err
}

// GetKeys reads what a key location holds, a path or an http or https URL, for
// trust.ReadKeys.
func (f *Fetcher) GetKeys(ctx context.Context, location string) ([]byte, error) {
	switch u, err := url.Parse(location); {
	case err == nil && u.Scheme == "http" && !f.Insecure.HTTP:
		return nil, errors.New("--insecure-allow-http required for http URLs")
	case err == nil && (u.Scheme == "http" || u.Scheme == "https"):
		ctx, cancel := context.WithTimeout(ctx, f.wait(keyTimeout))
		defer cancel()
		b, err := f.getAll(ctx, location, "Downloading key", maxKeys)
		if err != nil {
			return nil, fmt.Errorf("error downloading the key: %w", err)
		}
		return b, nil
	}
	file, err := openRegular(location)
	if err != nil {
		return nil, fmt.Errorf("error opening key file: %w", err)
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxKeys+1))
}

// client returns a client for one request. It takes bodies as they are sent:
// signatures are over compressed bytes.
func (f *Fetcher) client() *http.Client {
	dialer := &net.Dialer{Timeout: dialTimeout}
	var transport http.RoundTripper = &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{InsecureSkipVerify: f.Insecure.TLS}, //nolint:gosec // the user's wish
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  f.wait(headerTimeout),
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
	if f.Credentials != nil {
		transport = f.Credentials(transport)
	}
	return &http.Client{
		Transport: transport,
		CheckRedirect: func(request *http.Request, via []*http.Request) error {
			if len(via) >= maxRedirects {
				return errors.New("too many redirects")
			}
			return f.checkScheme(request.URL)
		},
	}
}

func (f *Fetcher) checkScheme(u *url.URL) error {
	if u.Scheme == "https" || u.Scheme == "http" && f.Insecure.HTTP {
		return nil
	}
	if u.Scheme == "http" {
		return errhint.With(fmt.Errorf("%w: %s", ErrInsecure, u.Redacted()), "use https, or allow it with --insecure-options=http")
	}
	return fmt.Errorf("unsupported scheme in %s", u.Redacted())
}

// wait returns how long to wait for what usually gets d.
func (f *Fetcher) wait(d time.Duration) time.Duration {
	if f.patience > 0 {
		return f.patience
	}
	return d
}

// download is the body of a response that is reported on and watched.
type download struct {
	ctx      context.Context //nolint:containedctx // it belongs to the response
	cancel   context.CancelCauseFunc
	client   *http.Client
	response *http.Response
	transfer Transfer
	window   time.Duration
	timer    *time.Timer
	recent   atomic.Int64 // bytes since the window began
	got      int64
	ended    bool
}

// watch ends the download if too little of it came in the window that is over.
func (d *download) watch() {
	if d.recent.Swap(0) < leastBytes {
		d.cancel(ErrStalled)
		return
	}
	d.timer.Reset(d.window)
}

// Read reads on; what the watch or the caller has ended fails with its cause.
func (d *download) Read(p []byte) (int, error) {
	n, err := d.response.Body.Read(p)
	d.recent.Add(int64(n))
	d.got += int64(n)
	if d.transfer != nil {
		d.transfer.Add(int64(n))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("the server has closed the connection after %d of %s", d.got, d.total())
	}
	switch {
	case errors.Is(err, io.EOF):
		d.end(nil)
	case err != nil:
		err = causeOf(d.ctx, err)
		d.end(err)
	}
	return n, err
}

// end stops the watch and the reports. What is done with the data afterwards
// may take its time.
func (d *download) end(err error) {
	if d.ended {
		return
	}
	d.ended = true
	d.timer.Stop()
	if d.transfer != nil {
		d.transfer.Done(err)
	}
}

func (d *download) total() string {
	if d.response.ContentLength < 0 {
		return "an unknown number of bytes"
	}
	return fmt.Sprintf("%d bytes", d.response.ContentLength)
}

// Close ends the download, whether all of it has come or not.
func (d *download) Close() error {
	d.end(errAborted)
	d.cancel(nil)
	err := d.response.Body.Close()
	d.client.CloseIdleConnections()
	return err
}

// errAborted is reported for a download that its reader has given up.
var errAborted = errors.New("aborted")

// causeOf returns why the context was canceled if that is what err comes from.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}
