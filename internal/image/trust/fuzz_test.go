package trust_test

import (
	"bytes"
	"errors"
	"testing"

	"rkt/internal/image/imagetest"
	"rkt/internal/image/trust"
)

func FuzzReadKeys(f *testing.F) {
	armored := imagetest.NewSigner(f, "A", "a@example.com").PublicKey(f)
	f.Add(armored)
	f.Add([]byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEAAAAABYJKwYBBAHaRw8BAQdA\n-----END"))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := trust.ReadKeys(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, k := range keys {
			_ = k.Review()
			_ = k.Check()
		}
	})
}

// FuzzVerify shows that no signature but the true one is good, and that every
// other one fails with an error of this package.
func FuzzVerify(f *testing.F) {
	signer := imagetest.NewSigner(f, "A", "a@example.com")
	data := []byte("image")
	k, _, _ := newStore(f)
	addRoot(f, k, signer.PublicKey(f))
	f.Add(signer.Sign(f, []byte("another image")))
	f.Add([]byte("\x88\x75\x04\x00\x16\x08\x00\x1d\x16\x21\x04"))
	f.Fuzz(func(t *testing.T, sig []byte) {
		err := verify(k, "example.com/a", data, sig)
		for _, class := range []error{
			trust.ErrNoSignature, trust.ErrMalformedSignature, trust.ErrUnknownKey, trust.ErrBadSignature,
			trust.ErrKeyExpired, trust.ErrKeyRevoked, trust.ErrWeak,
		} {
			if errors.Is(err, class) {
				return
			}
		}
		t.Errorf("got %v", err)
	})
}
