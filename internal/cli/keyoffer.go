package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"

	"rkt/internal/appc"
	"rkt/internal/image/discover"
	"rkt/internal/image/fetch"
	"rkt/internal/image/trust"
)

// keyOffer offers keys to whoever is at the terminal, one by one, and adds to
// the keystore what is accepted.
type keyOffer struct {
	p      *program
	m      messages
	prefix appc.ACIdentifier // what the keys are for, empty for all images

	skipReview bool // take all without asking
	allowHTTP  bool // get keys by plain http, too
	respect    bool // offer no key that the administrator has withdrawn

	failed []error // why keys were not offered or not added
}

func (p *program) newKeyOffer(prefix appc.ACIdentifier) *keyOffer {
	return &keyOffer{p: p, m: p.messagesOf("pubkey"), prefix: prefix}
}

// locations offers all keys of files and URLs. What is wrong with one does not
// keep it from the others; it says so in the end.
func (o *keyOffer) locations(ctx context.Context, locations []string) error {
	for _, location := range locations {
		if err := o.location(ctx, location); err != nil {
			return err
		}
	}
	return o.outcome()
}

// discovered offers the keys that the owner of the prefix names.
func (o *keyOffer) discovered(ctx context.Context) error {
	fetcher := o.p.fetcher(nil, fetch.PullUpdate)
	fetcher.Insecure.HTTP = o.allowHTTP
	found, err := fetcher.DiscoverKeys(ctx, o.prefix)
	if errors.Is(err, discover.ErrNotFound) {
		return detail(fmt.Errorf("meta discovery on %s resulted in no keys: %w", o.prefix, err))
	}
	if err != nil {
		return err
	}
	for _, k := range found {
		if err := o.file(ctx, k.URL, k.Data, k.Err, o.isAutomatic(k.URL)); err != nil {
			return err
		}
	}
	return o.outcome()
}

// outcome says what was wrong with any of the keys.
func (o *keyOffer) outcome() error {
	switch len(o.failed) {
	case 0:
		return nil
	case 1:
		return o.failed[0]
	}
	for _, err := range o.failed {
		o.m.err(err)
	}
	return fmt.Errorf("%d keys could not be added", len(o.failed))
}

// location offers all keys of one file or URL. It fails only if there is no
// point in going on.
func (o *keyOffer) location(ctx context.Context, location string) error {
	fetcher, automatic := o.source(location)
	data, err := fetcher.GetKeys(ctx, location)
	return o.file(ctx, location, data, err, automatic)
}

// file offers all keys in the data of one file or URL, or takes note of why there
// is none.
func (o *keyOffer) file(ctx context.Context, location string, data []byte, err error, automatic bool) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var keys []*trust.Key
	if err == nil {
		keys, err = trust.ReadKeys(bytes.NewReader(data))
	}
	if err != nil {
		o.fail(location, err)
		return nil
	}
	for _, key := range keys {
		if err := o.key(ctx, key, location, automatic || o.skipReview); err != nil {
			return err
		}
	}
	return nil
}

func (o *keyOffer) fail(location string, err error) {
	o.failed = append(o.failed, fmt.Errorf("key %q: %w", location, detail(err)))
}

// source returns how to get what is at a location, and whether it needs no
// review.
func (o *keyOffer) source(location string) (fetcher *fetch.Fetcher, automatic bool) {
	fetcher = o.p.fetcher(nil, fetch.PullUpdate)
	fetcher.Insecure.HTTP = o.allowHTTP
	return fetcher, o.isAutomatic(location)
}

// isAutomatic says whether the user has said that keys from a location need no
// review. That counts for this location only, and only if nobody can have got
// between: certificates are checked, and no redirection leads away from https.
func (o *keyOffer) isAutomatic(location string) bool {
	u, err := url.Parse(location)
	return o.p.global.trustKeysFromHTTPS && err == nil && u.Scheme == "https" && !o.p.global.insecure.has(insecureTLS)
}

// key shows one key, asks about it unless the user has said not to, and adds it.
func (o *keyOffer) key(ctx context.Context, key *trust.Key, location string, accepted bool) error {
	if o.prefix == "" {
		o.m.printf("key: %q", location)
	} else {
		o.m.printf("prefix: %q\nkey: %q", o.prefix, location)
	}
	fmt.Fprint(o.p.stdout, printable(key.Review()))
	if o.respect {
		mask, err := o.p.keys().MaskOf(o.prefix, key.Fingerprint())
		if mask != "" {
			o.m.printf("not trusting %q: %s withdraws the key", location, mask)
		}
		if mask != "" || err != nil {
			return err
		}
	}
	if err := key.Check(); err != nil {
		o.fail(location, err)
		return nil
	}
	how := "without"
	if !accepted {
		how = "after"
		yes, err := o.p.reviewer.accept(ctx, o.p)
		if err != nil {
			return fmt.Errorf("error reviewing key: %w", err)
		}
		if !yes {
			o.m.printf("not trusting %q", location)
			return nil
		}
	}
	o.m.printf("Trusting %q for %s %s fingerprint review.", location, o.scope(), how)
	return o.add(key, location)
}

// scope names the images that the keys are for.
func (o *keyOffer) scope() string {
	if o.prefix == "" {
		return "all images"
	}
	return fmt.Sprintf("prefix %q", o.prefix)
}

func (o *keyOffer) add(key *trust.Key, location string) error {
	var path string
	var err error
	if o.prefix == "" {
		path, err = o.p.keys().AddRoot(key)
	} else {
		path, err = o.p.keys().AddPrefix(o.prefix, key)
	}
	switch {
	case errors.Is(err, trust.ErrExists):
		o.m.printf("Key %q already in the keystore", location)
	case err != nil:
		return fmt.Errorf("store key %q: %w", location, err)
	case o.prefix == "":
		o.m.printf("Added root key at %q", path)
	default:
		o.m.printf("Added key for prefix %q at %q", o.prefix, path)
	}
	return nil
}

// OfferKeys offers the keys that the owner of a name names, before an image is
// fetched that no key is there for. If there are none, or none is accepted, it is
// the check of the signature that says so.
func (p *program) OfferKeys(ctx context.Context, name appc.ACIdentifier) error {
	offer := p.newKeyOffer(name)
	offer.respect = true
	offer.allowHTTP = p.global.insecure.has(insecurePubKey) && p.global.insecure.has(insecureHTTP)
	err := offer.discovered(ctx)
	if errors.Is(err, discover.ErrNotFound) {
		offer.m.printf("%v", err)
		return nil
	}
	return err
}
