package fetch

import (
	"context"
	"fmt"
	"strings"

	"rkt/internal/appc"
	"rkt/internal/image/store"
)

// expectation is what an image must be to be the one that was asked for.
type expectation struct {
	name   appc.ACIdentifier // empty if any will do
	labels appc.Labels
	latest bool // it was asked for without a version
}

// check compares the image with what was asked for. A signature says who has
// made an image, not that it is this one, so this is checked without any, too.
func (e expectation) check(m *appc.ImageManifest) error {
	if e.name == "" {
		return nil
	}
	if m.Name != e.name {
		return fmt.Errorf("%w: error when reading the app name: %q expected but %q found", ErrMismatch, e.name, m.Name)
	}
	for _, label := range e.labels {
		switch value, ok := m.Labels.Get(string(label.Name)); {
		case !ok:
			return fmt.Errorf("%w: requested label %q not provided by the image manifest", ErrMismatch, label.Name)
		case value != label.Value:
			return fmt.Errorf("%w: requested value for label %q: %q differs from fetched aci label value: %q",
				ErrMismatch, label.Name, label.Value, value)
		}
	}
	return nil
}

// accept stores the image if it was signed, sig being nil if it needn't be, and
// is what was expected.
func (f *Fetcher) accept(ctx context.Context, in *store.Incoming, sig *signature, e expectation, o Options) (id string, err error) {
	// Which keys count depends on the image's name, which is in the image. The
	// name is believed only as far as choosing the keys to check it with.
	m, err := in.Manifest(ctx)
	if err != nil {
		return "", f.blame(ctx, in, sig, err)
	}
	origin := store.Origin{Name: m.Name, Latest: e.latest, Render: o.Render && m.App != nil}
	if sig != nil {
		origin.Signature = sig.text
		if origin.SignedBy, err = f.verify(ctx, in, m.Name, sig); err != nil {
			return "", err
		}
	}
	if err := e.check(m); err != nil {
		return "", err
	}
	img, err := f.Store.Import(ctx, in, origin)
	if err != nil {
		return "", err
	}
	return img.ID, nil
}

// blame returns why the name of an image cannot be known: because the image was
// changed after it was signed, or else err.
func (f *Fetcher) blame(ctx context.Context, in *store.Incoming, sig *signature, err error) error {
	if sig == nil {
		return err
	}
	bytes, readErr := in.Reader(ctx)
	if readErr != nil {
		return err
	}
	if changed := f.Keys.CheckContent(bytes, sig.packets); changed != nil {
		return changed
	}
	return err
}

// verify checks the signature over the very bytes that will be stored and
// returns the fingerprint of its key.
func (f *Fetcher) verify(ctx context.Context, in *store.Incoming, name appc.ACIdentifier, sig *signature) (string, error) {
	signer := sig.early.signerFor(name)
	if signer == nil {
		bytes, err := in.Reader(ctx)
		if err != nil {
			return "", err
		}
		if signer, err = f.Keys.VerifySignature(name, bytes, sig.packets); err != nil {
			return "", err
		}
	}
	f.info("signature verified:\n  " + strings.Join(signer.Identities, "\n  "))
	return signer.Fingerprint, nil
}
