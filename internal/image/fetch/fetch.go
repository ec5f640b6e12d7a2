// Package fetch gets images by their names, from URLs and from files, checks
// their signatures and puts them into the store. Nothing of an image is used,
// and nothing stored, before its signature was found good.
package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"rkt/internal/appc"
	"rkt/internal/errhint"
	"rkt/internal/image"
	"rkt/internal/image/archive"
	"rkt/internal/image/discover"
	"rkt/internal/image/store"
	"rkt/internal/image/trust"
	"rkt/internal/image/web"
)

// Errors of fetching. Each may come wrapped; use errors.Is.
var (
	// ErrUnsigned means that there is no signature where one has to be.
	ErrUnsigned = errors.New("image has no signature")
	// ErrUnsupported means that images cannot be had in this way yet.
	ErrUnsupported = errors.New("not supported yet")
	// ErrInsecure means that the user has not allowed the way that was asked
	// for.
	ErrInsecure = web.ErrInsecure
	// ErrUnavailable means that the image is not in the store, and may not or
	// can not be had from elsewhere.
	ErrUnavailable = errors.New("either image was not found in the store or store was disabled " +
		"and fetching from remote yielded nothing or it was disabled")
	// ErrMismatch means that what has come is not the image that was asked for.
	ErrMismatch = errors.New("not the image that was asked for")
	// ErrNotImage means that a server has sent something else.
	ErrNotImage = errors.New("the server has sent a web page in place of an image")
	// ErrRemoved means that somebody has removed an image as soon as it was there.
	ErrRemoved = errors.New("it was removed from the store while it was fetched")
	// ErrCycle means that an image depends on itself.
	ErrCycle = errors.New("the image depends on itself")
	// ErrTooMany means that an image has more dependencies than can be.
	ErrTooMany = errors.New("too many dependencies")
)

// Insecure names the checks that the user has switched off.
type Insecure struct {
	Image bool // no signature is asked for
	TLS   bool // certificates of servers are not checked
	HTTP  bool // plain http is allowed
}

// PullPolicy says when an image that the store has is fetched again.
type PullPolicy string

// The pull policies.
const (
	PullNew    PullPolicy = "new"    // if the store has none
	PullNever  PullPolicy = "never"  // the store only
	PullUpdate PullPolicy = "update" // always
)

// Reporter is told what goes on, by several goroutines at once. Text comes
// without a line end.
type Reporter interface {
	// Diag is only of interest when debugging.
	Diag(text string)
	// Info is for the user.
	Info(text string)
	// Transfer announces a download, such as "Downloading ACI"; total is -1 if
	// it is not known. The caller ends it with Done.
	Transfer(label string, total int64) Transfer
}

// Transfer is one download under way.
type Transfer interface {
	Add(bytes int64)
	Done(err error)
}

// KeyOffer lets the user accept keys for images of a name, before one is
// downloaded that nothing could vouch for.
type KeyOffer interface {
	// OfferKeys offers the keys that discovery finds for the name. It fails only
	// if the image should not be fetched.
	OfferKeys(ctx context.Context, name appc.ACIdentifier) error
}

// Fetcher gets images. Only Store and Keys are required.
type Fetcher struct {
	Store    *store.Store
	Keys     *trust.Keystore
	Insecure Insecure
	Policy   PullPolicy // PullNew if empty
	Version  string     // of rkt, for the User-Agent
	Reporter Reporter
	// KeyOffer, if set, is asked before an image is fetched by name that there
	// are no keys for.
	KeyOffer KeyOffer
	// Credentials, if set, wraps what sends requests, so that each of them gets
	// the credentials that are meant for its server.
	Credentials func(http.RoundTripper) http.RoundTripper

	// These replace the network and how long a server may take, in tests.
	dial     web.DialFunc
	patience time.Duration
}

// Options are for one image.
type Options struct {
	// SignaturePath is the file with the detached signature. If empty it is
	// looked for beside the image, with ".asc" added to its name.
	SignaturePath string
	// Vouched lets the image in without a signature because the caller has
	// made sure of it in another way.
	Vouched bool
	// Render makes the disk of an app's image on the way, which takes root, so
	// that its first run need not. Whether it succeeds is for the store to say.
	Render bool
}

// Fetch makes sure that the image is in the store and returns its id. What it
// depends on is left out.
func (f *Fetcher) Fetch(ctx context.Context, ref image.Reference, o Options) (id string, err error) {
	client := f.client()
	defer client.Close()
	w := &want{ref: ref, options: o}
	if err := f.plan(ctx, client, w); err != nil {
		return "", err
	}
	if w.id != "" {
		return w.id, nil
	}
	return w.get(ctx)
}

// want is one image that is wanted, and what is known of it.
type want struct {
	ref     image.Reference
	options Options
	title   string // for its progress, empty if it is the only one

	id  string                                    // once it is in the store
	get func(ctx context.Context) (string, error) // else
}

// plan finds the image in the store, or where to get it. What it asks the user
// it asks now, because what comes then may be done for several images at once.
func (f *Fetcher) plan(ctx context.Context, client *web.Client, w *want) error {
	switch w.ref.Kind {
	case image.KindHash:
		img, err := f.Store.Get(w.ref.Hash)
		if err != nil {
			return err
		}
		f.diag("using image from the store with hash " + img.ID)
		w.id = img.ID
		return nil
	case image.KindName:
		return f.planName(ctx, client, w)
	case image.KindFile:
		w.get = func(ctx context.Context) (string, error) { return f.fromFile(ctx, w.ref.Path, w.options) }
		return nil
	case image.KindURL:
		return f.planURL(client, w)
	default:
		return errhint.With(fmt.Errorf("fetching docker images is %w: %q", ErrUnsupported, w.ref.Input),
			"give an image in the ACI format, by its name, as a file or by its URL")
	}
}

// client returns one that obeys the user.
func (f *Fetcher) client() *web.Client {
	return web.New(web.Options{
		InsecureTLS: f.Insecure.TLS,
		AllowHTTP:   f.Insecure.HTTP,
		UserAgent:   "rkt/" + f.Version,
		Credentials: f.Credentials,
		Dial:        f.dial,
		Patience:    f.patience,
	})
}

func (f *Fetcher) discoverer(client *web.Client) *discover.Discoverer {
	return &discover.Discoverer{Client: client, AllowHTTP: f.Insecure.HTTP, Diag: f.diag}
}

func (f *Fetcher) needsSignature(o Options) bool { return !o.Vouched && !f.Insecure.Image }

// Import takes an image from a stream, copied to a place of its own first, and
// its signature from another, nil if there is none, and returns its id.
func (f *Fetcher) Import(ctx context.Context, aci, sig io.Reader, o Options) (id string, err error) {
	var s *signature
	if f.needsSignature(o) {
		if sig == nil {
			return "", unsigned(ErrUnsigned)
		}
		if s, err = readSignature(sig); err != nil {
			return "", err
		}
	}
	in, err := f.Store.NewIncoming()
	if err != nil {
		return "", err
	}
	defer in.Discard()
	if _, err := io.Copy(in, archive.WithContext(ctx, aci)); err != nil {
		return "", err
	}
	return f.accept(ctx, in, s, expectation{}, o)
}

func (f *Fetcher) fromFile(ctx context.Context, path string, o Options) (string, error) {
	f.diag("using image from file " + path)
	var sig io.Reader
	if f.needsSignature(o) {
		b, err := readSignatureFile(signaturePath(path, o))
		if err != nil {
			return "", err
		}
		sig = bytes.NewReader(b)
	}
	aci, err := openRegular(path)
	if err != nil {
		return "", fmt.Errorf("error opening image file: %w", err)
	}
	defer aci.Close()
	return f.Import(ctx, aci, sig, o)
}

func (f *Fetcher) diag(text string) {
	if f.Reporter != nil {
		f.Reporter.Diag(text)
	}
}

func (f *Fetcher) info(text string) {
	if f.Reporter != nil {
		f.Reporter.Info(text)
	}
}
