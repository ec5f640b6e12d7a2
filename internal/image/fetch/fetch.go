// Package fetch gets images from files and URLs, checks their signatures and
// puts them into the store. Nothing of an image is used, and nothing stored,
// before its signature was found good.
package fetch

import (
	"context"
	"errors"
	"io"

	"rkt/internal/image"
	"rkt/internal/image/store"
	"rkt/internal/image/trust"
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

// Fetch makes sure that the image is in the store and returns its id. A hash
// or a name is looked up in the store.
func (f *Fetcher) Fetch(ctx context.Context, ref image.Reference, o Options) (id string, err error) {
	return "", errors.ErrUnsupported
}

// Import takes an image from a stream, copied to a place of its own first, and
// its signature from another, nil if there is none, and returns its id.
func (f *Fetcher) Import(ctx context.Context, aci, sig io.Reader, o Options) (id string, err error) {
	return "", errors.ErrUnsupported
}

// GetKeys reads what a key location holds, a path or an http or https URL, for
// trust.ReadKeys.
func (f *Fetcher) GetKeys(ctx context.Context, location string) ([]byte, error) {
	return nil, errors.ErrUnsupported
}
