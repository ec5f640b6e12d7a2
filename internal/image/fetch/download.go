package fetch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rkt/internal/image/archive"
	"rkt/internal/image/store"
	"rkt/internal/image/trust"
	"rkt/internal/image/web"
)

// target is an image on a server.
type target struct {
	aci, signature string // URLs
	page           string // URL of the page that has led there, empty if the user has
	options        Options
	expected       expectation
	title          string // for its progress, empty if it is the only one
}

// label says what a download is.
func (t *target) label(what string) string {
	if t.title == "" {
		return what
	}
	return what + " " + t.title
}

// remote returns what is known of the image, nil if that is nothing or not
// enough: one that was let in without a signature must be fetched again if it
// needs one.
func (f *Fetcher) remote(t *target) (*store.Remote, error) {
	known, err := f.Store.Remote(t.aci)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	img, err := f.Store.Get(known.ID)
	if err != nil || img.Damaged || f.needsSignature(t.options) && img.SignedBy == "" || t.expected.check(img.Manifest) != nil {
		return nil, nil //nolint:nilerr // whatever is wrong with it, it is fetched again
	}
	return known, nil
}

// download gets an image from a server, unless it is as it was.
func (f *Fetcher) download(ctx context.Context, client *web.Client, t *target) (id string, err error) {
	began := time.Now()
	known, err := f.remote(t)
	if err != nil {
		return "", err
	}
	if known != nil && known.Fresh(began) {
		f.diag(fmt.Sprintf("image for %s isn't expired, not fetching.", t.aci))
		return known.ID, nil
	}
	part, err := f.Store.OpenDownload(ctx, t.aci, func() {
		f.info("another rkt instance is downloading this file, waiting...")
	})
	if err != nil {
		return "", err
	}
	defer part.Discard()
	if known, err = f.remote(t); err != nil {
		return "", err
	}
	if known != nil && known.Downloaded.After(began) {
		return known.ID, nil // by whom we have waited for
	}
	f.diag(fmt.Sprintf("remote fetching from URL %q", t.aci))
	return f.complete(ctx, &transfer{fetcher: f, client: client, target: t, part: part, known: known})
}

// complete gets the signature and then the image. If a part of the image was
// there already and what came of it is not good, it gets all of it.
func (f *Fetcher) complete(ctx context.Context, tr *transfer) (string, error) {
	if err := tr.signature(ctx); err != nil {
		tr.part.Keep()
		return "", err
	}
	for {
		if err := tr.image(ctx); err != nil {
			if tr.mayGoOn(err) {
				tr.part.Keep()
			}
			return "", fmt.Errorf("error downloading ACI: %w", err)
		}
		if tr.unchanged {
			return tr.known.ID, tr.note(tr.known.ID)
		}
		if tr.deferred {
			if err := tr.deferredSignature(ctx); err != nil {
				return "", err
			}
		}
		id, err := f.accept(ctx, tr.part.Incoming, tr.sig, tr.target.expected, tr.target.options)
		if tr.resumed && (errors.Is(err, trust.ErrBadSignature) || errors.Is(err, archive.ErrInvalid)) {
			f.info("cannot use cached partial download, resource updated.")
			if err := tr.part.Restart(store.Validator{}); err != nil {
				return "", err
			}
			continue
		}
		if err != nil {
			return "", err
		}
		return id, tr.note(id)
	}
}
