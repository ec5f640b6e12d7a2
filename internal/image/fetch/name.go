package fetch

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"rkt/internal/appc"
	"rkt/internal/image"
	"rkt/internal/image/store"
	"rkt/internal/image/web"
)

// planName finds an image by name: in the store if the policy allows that, else
// where its name says.
func (f *Fetcher) planName(ctx context.Context, client *web.Client, w *want) error {
	if f.Policy != PullUpdate {
		img, err := f.Store.FindByName(w.ref.Name, w.ref.Labels)
		if err == nil && (!img.Damaged || f.Policy == PullNever) {
			f.diag("using image from local store for image name " + w.ref.Input)
			w.id = img.ID
			return nil
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil {
			f.info("the image in the store is damaged, fetching it again")
		}
	}
	if f.Policy == PullNever {
		return fmt.Errorf("unable to fetch image from image name %q: %w", w.ref.Input, ErrUnavailable)
	}
	t, err := f.discover(ctx, client, w)
	if err != nil {
		return err
	}
	w.get = func(ctx context.Context) (string, error) { return f.download(ctx, client, t) }
	return nil
}

// discover finds out where to get an image by name, and sees to it that there
// are keys for it.
func (f *Fetcher) discover(ctx context.Context, client *web.Client, w *want) (*target, error) {
	f.info("searching for app image " + w.ref.Input)
	found, err := f.discoverer(client).Image(ctx, w.ref.Name, withPlatform(w.ref.Labels))
	if err != nil {
		return nil, err
	}
	if f.needsSignature(w.options) {
		if err := f.offerKeys(ctx, w.ref.Name); err != nil {
			return nil, err
		}
	}
	_, versioned := w.ref.Labels.Get("version")
	return &target{
		aci: found.ACI, signature: found.Signature, page: found.Page, options: w.options, title: w.title,
		expected: expectation{name: w.ref.Name, labels: w.ref.Labels, latest: !versioned},
	}, nil
}

// offerKeys lets the user accept keys for a name that there are none for.
func (f *Fetcher) offerKeys(ctx context.Context, name appc.ACIdentifier) error {
	if f.KeyOffer == nil {
		return nil
	}
	known, err := f.Keys.HasKeys(name)
	if err != nil {
		return err
	}
	if known {
		f.diag(fmt.Sprintf("keys already exist for prefix %q, not fetching again", name))
		return nil
	}
	return f.KeyOffer.OfferKeys(ctx, name)
}

// withPlatform adds os and arch of the host where they are missing, for
// templates that name them.
func withPlatform(labels appc.Labels) appc.Labels {
	os, arch := appc.PlatformLabels(runtime.GOOS, runtime.GOARCH)
	labels = append(appc.Labels{}, labels...)
	for _, l := range []appc.Label{{Name: "os", Value: os}, {Name: "arch", Value: arch}} {
		if _, there := labels.Get(string(l.Name)); !there {
			labels = append(labels, l)
		}
	}
	return labels
}

// planURL finds the image of a URL, in the store if the policy allows that.
func (f *Fetcher) planURL(client *web.Client, w *want) error {
	t := &target{aci: w.ref.URL, options: w.options, title: w.title}
	if f.Policy != PullUpdate {
		known, err := f.remote(t)
		if err != nil {
			return err
		}
		if known != nil {
			f.diag("using image from local store for url " + w.ref.URL)
			w.id = known.ID
			return nil
		}
	}
	if f.Policy == PullNever {
		return fmt.Errorf("unable to fetch image from URL %q: %w", w.ref.URL, ErrUnavailable)
	}
	var err error
	if t.signature, err = image.SignatureURL(t.aci); err != nil {
		return err
	}
	w.get = func(ctx context.Context) (string, error) { return f.download(ctx, client, t) }
	return nil
}
