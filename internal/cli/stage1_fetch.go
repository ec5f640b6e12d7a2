package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"rkt/internal/appc"
	"rkt/internal/errhint"
	"rkt/internal/image"
	"rkt/internal/image/fetch"
	"rkt/internal/image/store"
)

// stage1ByName takes an image from the store if a key has vouched for it, else
// looks for it where its name says.
func (p *program) stage1ByName(ctx context.Context, name string, images *store.Store) (*stage1Source, error) {
	ref, err := image.ParseReference(name)
	if err == nil && ref.Kind != image.KindName {
		err = errhint.With(fmt.Errorf("--%s %q is not the name of an image", stage1Name, name),
			"there are --stage1-path for files, --stage1-url and --stage1-hash")
	}
	if err != nil {
		return nil, err
	}
	if found, err := p.findStage1(ctx, ref.Name, ref.Labels, images); found != nil || err != nil {
		return found, err
	}
	return p.fetchStage1(ctx, ref, images)
}

// findStage1 looks for an image in the store that may run pods: of several the
// one imported last. It returns nil if there is none.
func (p *program) findStage1(ctx context.Context, name appc.ACIdentifier, labels appc.Labels, images *store.Store) (*stage1Source, error) {
	all, _, err := images.List(ctx) // what is damaged is for other commands to say
	if err != nil {
		return nil, err
	}
	for _, stored := range slices.Backward(all) {
		if stored.Manifest.Name != name || !hasLabels(stored.Manifest.Labels, labels) {
			continue
		}
		if stored.SignedBy != "" || p.global.insecure.has(insecureStage1) {
			return &stage1Source{id: stored.ID}, nil
		}
	}
	return nil, nil
}

func hasLabels(have, want appc.Labels) bool {
	for _, l := range want {
		if value, ok := have.Get(string(l.Name)); !ok || value != l.Value {
			return false
		}
	}
	return true
}

// stage1ByURL takes the image at a URL.
func (p *program) stage1ByURL(ctx context.Context, url string, images *store.Store) (*stage1Source, error) {
	ref, err := image.ParseReference(url)
	switch {
	case err != nil:
		return nil, err
	case ref.Kind == image.KindURL:
		return p.fetchStage1(ctx, ref, images)
	case ref.Kind == image.KindFile && strings.HasPrefix(url, "file:"):
		return p.stage1InFile(ref.Path, p.global.insecure.has(insecureStage1) || isInstalledStage1(ref.Path), images)
	case ref.Kind == image.KindDocker:
		return nil, fmt.Errorf("stage1 image %q: an image of docker's can't run pods", url)
	}
	return nil, errhint.With(fmt.Errorf("--%s %q is not a URL", stage1URL, url), "there are --stage1-path and --stage1-name")
}

// fetchStage1 fetches an image whose programs will run as root. Whoever accepts
// apps without a signature has said nothing about that, nor has the store by
// having the image.
func (p *program) fetchStage1(ctx context.Context, ref image.Reference, images *store.Store) (*stage1Source, error) {
	var stored *store.Image
	for _, policy := range []fetch.PullPolicy{fetch.PullNew, fetch.PullUpdate} {
		fetcher := p.fetcher(images, policy)
		fetcher.Insecure.Image = p.global.insecure.has(insecureStage1)
		id, err := fetcher.Fetch(ctx, ref, fetch.Options{})
		if err == nil {
			stored, err = images.Get(id)
		}
		if err != nil {
			return nil, fmt.Errorf("stage1 image %q: %w", ref.Input, detail(unsignedStage1(err)))
		}
		if stored.SignedBy != "" || fetcher.Insecure.Image {
			break
		}
	}
	return p.stage1InStore(ref.Input, stored)
}

const signStage1Hint = "sign the stage1 image, or accept it with --insecure-options=stage1"

// unsignedStage1 says what can be done about a stage1 image without a signature.
func unsignedStage1(err error) error {
	if !errors.Is(err, fetch.ErrUnsigned) {
		return err
	}
	return errhint.With(err, signStage1Hint)
}
