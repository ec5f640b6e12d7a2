// Package fetch gets images from files and URLs, checks their signatures and
// puts them into the store. Nothing of an image is used, and nothing stored,
// before its signature was found good.
package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"rkt/internal/errhint"
	"rkt/internal/image"
	"rkt/internal/image/archive"
	"rkt/internal/image/store"
	"rkt/internal/image/trust"
)

// Errors of fetching. Each may come wrapped; use errors.Is.
var (
	// ErrUnsigned means that there is no signature where one has to be.
	ErrUnsigned = errors.New("image has no signature")
	// ErrUnsupported means that images cannot be had in this way yet.
	ErrUnsupported = errors.New("not supported yet")
	// ErrInsecure means that the user has not allowed the way that was asked
	// for.
	ErrInsecure = errors.New("plain http is not allowed")
	// ErrStatus means that a server has answered with something else.
	ErrStatus = errors.New("bad HTTP status code")
	// ErrStalled means that a server sends too little to ever end.
	ErrStalled = errors.New("the server sends nothing or next to nothing")
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

// Reporter is told what goes on. Text comes without a line end.
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

// Fetcher gets images. Only Store and Keys are required.
type Fetcher struct {
	Store    *store.Store
	Keys     *trust.Keystore
	Insecure Insecure
	Policy   PullPolicy
	Version  string // of rkt, for the User-Agent
	Reporter Reporter
	// Credentials, if set, wraps what sends requests, so that each of them gets
	// the credentials that are meant for its server.
	Credentials func(http.RoundTripper) http.RoundTripper

	// patience replaces how long a server may take, in tests.
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
}

// maxSignature bounds the size of a signature file in bytes.
const maxSignature = 1 << 20

// Fetch makes sure that the image is in the store and returns its id. A hash
// or a name is looked up in the store.
func (f *Fetcher) Fetch(ctx context.Context, ref image.Reference, o Options) (id string, err error) {
	switch ref.Kind {
	case image.KindHash:
		img, err := f.Store.Get(ref.Hash)
		if err != nil {
			return "", err
		}
		f.diag("using image from the store with hash " + img.ID)
		return img.ID, nil
	case image.KindName:
		return f.fromStore(ref)
	case image.KindFile:
		return f.fromFile(ctx, ref.Path, o)
	case image.KindURL:
		return f.fromURL(ctx, ref.URL, o)
	default:
		return "", errhint.With(fmt.Errorf("fetching docker images is %w: %q", ErrUnsupported, ref.Input),
			"give an image in the ACI format, as a file or by its URL")
	}
}

// fromStore finds an image by name. Where nothing is stored the image would
// have to be discovered.
func (f *Fetcher) fromStore(ref image.Reference) (string, error) {
	img, err := f.Store.FindByName(ref.Name, ref.Labels)
	if errors.Is(err, store.ErrNotFound) {
		return "", errhint.With(fmt.Errorf("unable to fetch image from image name %q: it was not found in the store, "+
			"and discovering images by name is %w", ref.Input, ErrUnsupported), "fetch the image as a file or by its URL first")
	}
	if err != nil {
		return "", err
	}
	f.diag("using image from local store for image name " + ref.Input)
	return img.ID, nil
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

func (f *Fetcher) fromURL(ctx context.Context, url string, o Options) (string, error) {
	f.diag("remote fetching from URL " + fmt.Sprintf("%q", url))
	var sig io.Reader
	if f.needsSignature(o) {
		b, err := f.signatureFor(ctx, url, o)
		if err != nil {
			return "", err
		}
		sig = bytes.NewReader(b)
	}
	body, err := f.get(ctx, url, "Downloading ACI")
	if err != nil {
		return "", fmt.Errorf("error downloading ACI: %w", err)
	}
	id, err := f.Import(ctx, body, sig, o)
	return id, errors.Join(err, body.Close())
}

// signatureFor reads the signature of the image at a URL: from the file that
// the user has named, or from beside the image.
func (f *Fetcher) signatureFor(ctx context.Context, url string, o Options) ([]byte, error) {
	if o.SignaturePath != "" {
		return readSignatureFile(o.SignaturePath)
	}
	location, err := image.SignatureURL(url)
	if err != nil {
		return nil, err
	}
	b, err := f.getAll(ctx, location, "Downloading signature", maxSignature)
	if errors.Is(err, ErrStatus) {
		return nil, unsigned(fmt.Errorf("error downloading the signature file: %w", err))
	}
	if err != nil {
		return nil, fmt.Errorf("error downloading the signature file: %w", err)
	}
	return b, nil
}

func (f *Fetcher) needsSignature(o Options) bool { return !o.Vouched && !f.Insecure.Image }

// Import takes an image from a stream, copied to a place of its own first, and
// its signature from another, nil if there is none, and returns its id.
func (f *Fetcher) Import(ctx context.Context, aci, sig io.Reader, o Options) (id string, err error) {
	origin := store.Origin{}
	var signature *trust.Signature
	if f.needsSignature(o) {
		if sig == nil {
			return "", unsigned(ErrUnsigned)
		}
		if origin.Signature, err = io.ReadAll(io.LimitReader(sig, maxSignature)); err != nil {
			return "", err
		}
		if signature, err = trust.ReadSignature(bytes.NewReader(origin.Signature)); err != nil {
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
	// Which keys count depends on the image's name, which is in the image. The
	// name is believed only as far as choosing the keys to check it with.
	m, err := in.Manifest(ctx)
	if err != nil {
		return "", f.blame(ctx, in, signature, err)
	}
	origin.Name = m.Name
	if signature != nil {
		if origin.SignedBy, err = f.verify(ctx, in, origin, signature); err != nil {
			return "", err
		}
	}
	img, err := f.Store.Import(ctx, in, origin)
	if err != nil {
		return "", err
	}
	return img.ID, nil
}

// blame returns why the name of an image cannot be known: because the image was
// changed after it was signed, or else err.
func (f *Fetcher) blame(ctx context.Context, in *store.Incoming, sig *trust.Signature, err error) error {
	if sig == nil {
		return err
	}
	bytes, readErr := in.Reader(ctx)
	if readErr != nil {
		return err
	}
	if changed := f.Keys.CheckContent(bytes, sig); changed != nil {
		return changed
	}
	return err
}

// verify checks the signature over the very bytes that will be stored and
// returns the fingerprint of its key.
func (f *Fetcher) verify(ctx context.Context, in *store.Incoming, origin store.Origin, sig *trust.Signature) (string, error) {
	bytes, err := in.Reader(ctx)
	if err != nil {
		return "", err
	}
	signer, err := f.Keys.VerifySignature(origin.Name, bytes, sig)
	if err != nil {
		return "", err
	}
	f.info("signature verified:\n  " + strings.Join(signer.Identities, "\n  "))
	return signer.Fingerprint, nil
}

// unsigned adds to an error what can be done without a signature.
func unsigned(err error) error {
	if !errors.Is(err, ErrUnsigned) {
		err = fmt.Errorf("%w: %w", ErrUnsigned, err)
	}
	return errhint.With(err, "name the signature with --signature, or skip the check with --insecure-options=image")
}

func signaturePath(file string, o Options) string {
	if o.SignaturePath != "" {
		return o.SignaturePath
	}
	return file + image.SignatureExtension
}

func readSignatureFile(path string) ([]byte, error) {
	file, err := openRegular(path)
	if err != nil {
		return nil, unsigned(fmt.Errorf("error opening signature file: %w", err))
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxSignature))
	if err != nil {
		return nil, fmt.Errorf("error reading signature file: %w", err)
	}
	return b, nil
}

// openRegular opens a file that has an end; it does not wait for the writer of
// a pipe.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &os.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
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
