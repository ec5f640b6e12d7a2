package fetch

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"rkt/internal/image"
	"rkt/internal/image/web"
)

const (
	// maxAtOnce is how many images are fetched at once.
	maxAtOnce = 4
	// maxTries bounds how often images are fetched again that were removed as
	// soon as they were there. Each time only what is gone is fetched.
	maxTries = 10
)

// Want is one image of several that are wanted.
type Want struct {
	Reference image.Reference
	Options   Options
}

// ImageError says which of several images the error is about.
type ImageError struct {
	Image string // as it was asked for
	Err   error
}

// Error names the image.
func (e *ImageError) Error() string { return fmt.Sprintf("image %q: %v", e.Image, e.Err) }

// Unwrap returns the error without the image.
func (e *ImageError) Unwrap() error { return e.Err }

// FetchAll makes sure that images and all that they depend on are in the store
// and returns the images' ids, in order. Several are fetched at once. The error
// is an *ImageError. What others remove from the store meanwhile is fetched again,
// within limits: ErrRemoved.
func (f *Fetcher) FetchAll(ctx context.Context, wants []Want) (ids []string, err error) {
	client := f.client()
	defer client.Close()
	for range maxTries {
		ids, err = f.tryAll(ctx, client, wants)
		if !errors.Is(err, ErrRemoved) {
			break
		}
		f.diag(err.Error())
	}
	return ids, err
}

func (f *Fetcher) tryAll(ctx context.Context, client *web.Client, wants []Want) (ids []string, err error) {
	list := make([]*want, len(wants))
	for i, w := range wants {
		list[i] = &want{ref: w.Reference, options: w.Options}
	}
	if err := f.getAll(ctx, client, list); err != nil {
		return nil, err
	}
	for _, w := range list {
		ids = append(ids, w.id)
	}
	return ids, f.getDependencies(ctx, client, list)
}

// getAll makes sure that all of the list are in the store. An image that is on
// the list twice is fetched once.
func (f *Fetcher) getAll(ctx context.Context, client *web.Client, list []*want) error {
	type key struct {
		input   string
		options Options
	}
	first := make(map[key]*want)
	var missing []*want
	for _, w := range list {
		k := key{w.ref.Input, w.options}
		if first[k] != nil {
			continue
		}
		first[k] = w
		if len(list) > 1 && w.title == "" {
			w.title = w.ref.Input
		}
		if err := f.plan(ctx, client, w); err != nil {
			return &ImageError{w.ref.Input, err}
		}
		if w.id == "" {
			missing = append(missing, w)
		}
	}
	if err := getMissing(ctx, missing); err != nil {
		return err
	}
	for _, w := range list {
		w.id = first[key{w.ref.Input, w.options}].id
	}
	return nil
}

func getMissing(ctx context.Context, missing []*want) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxAtOnce)
	for _, w := range missing {
		group.Go(func() (err error) {
			if w.id, err = w.get(ctx); err != nil {
				return &ImageError{w.ref.Input, err}
			}
			return nil
		})
	}
	err := group.Wait()
	// What was given up because of an error elsewhere is not to be blamed.
	var about *ImageError
	if cause := context.Cause(ctx); errors.As(cause, &about) {
		return about
	}
	return err
}
