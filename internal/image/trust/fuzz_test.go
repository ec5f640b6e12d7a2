package trust_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"rkt/internal/image/imagetest"
	"rkt/internal/image/trust"
)

// seed returns a file that was made once, with keys that are gone: what a process
// makes is of no use to the other processes that fuzz.
func seed(f *testing.F, name string) []byte {
	f.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		f.Fatal(err)
	}
	return b
}

func FuzzReadKeys(f *testing.F) {
	armored := imagetest.NewSigner(f, "A", "a@example.com").PublicKey(f)
	f.Add(armored)
	binary := seed(f, "key.gpg")
	f.Add(binary)
	f.Add(append(bytes.Clone(binary), binary...))
	for _, b := range [][]byte{armored, binary} {
		if keys, err := trust.ReadKeys(bytes.NewReader(b)); err != nil || len(keys) != 1 {
			f.Fatalf("%v, %v", keys, err)
		}
	}
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

// FuzzVerify shows that a signature which is good is so for this image alone, and
// that every other one fails with an error of this package.
func FuzzVerify(f *testing.F) {
	data, other := []byte("image"), []byte("another image")
	k, _, _ := newStore(f)
	addRoot(f, k, seed(f, "key.asc"))
	for _, name := range []string{"image.asc", "image.gpg", "both.gpg"} {
		sig := seed(f, name)
		if err := verify(k, "example.com/a", data, sig); err != nil {
			f.Fatalf("%s: %v", name, err)
		}
		f.Add(sig)
	}
	f.Add(imagetest.NewSigner(f, "A", "a@example.com").Sign(f, data))
	f.Add([]byte("\x88\x75\x04\x00\x16\x08\x00\x1d\x16\x21\x04"))
	f.Fuzz(func(t *testing.T, sig []byte) {
		err := verify(k, "example.com/a", data, sig)
		if err == nil {
			err = verify(k, "example.com/a", other, sig)
		}
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
