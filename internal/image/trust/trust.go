// Package trust keeps the keys that images may be signed with and checks
// signatures against them.
//
// A key is trusted for all images (root) or for the images below a prefix of
// their name, where a prefix matches whole path elements only. Keys lie as
// files below a system directory, which distributions fill, and a local one,
// which the administrator fills; an empty file masks the key it is named by.
package trust

import (
	"errors"
	"io"

	"rkt/internal/appc"
)

// Errors that a signature may fail with. Each comes wrapped with what was
// found; use errors.Is.
var (
	// ErrNoSignature means that there is no signature in what was given as one.
	ErrNoSignature = errors.New("keystore: no valid signatures found in signature file")
	// ErrMalformedSignature means that the signature could not be read.
	ErrMalformedSignature = errors.New("keystore: malformed signature")
	// ErrUnknownKey means that no trusted key made the signature.
	ErrUnknownKey = errors.New("openpgp: signature made by unknown entity")
	// ErrOtherPrefix means that the key is trusted, but not for this image.
	ErrOtherPrefix = errors.New("the signing key is not trusted for this image")
	// ErrBadSignature means that the image is not what was signed.
	ErrBadSignature = errors.New("bad signature: the image is not what was signed")
	// ErrKeyExpired means that the key or the signature is past its time.
	ErrKeyExpired = errors.New("the signing key has expired")
	// ErrKeyRevoked means that the key's owner has withdrawn it.
	ErrKeyRevoked = errors.New("the signing key was revoked")
	// ErrWeak means that the signature or its key is too weak to count.
	ErrWeak = errors.New("the signature is too weak")
	// ErrExists is returned when a key is already in the keystore.
	ErrExists = errors.New("key already in the keystore")
)

// Keystore is the set of trusted keys on disk. It reads its directories anew
// at each call.
type Keystore struct {
	systemDir, localDir string
}

// Open returns the keystore in the directory trustedkeys below each of the two
// configuration directories. Neither needs to exist; an empty name leaves one
// out.
func Open(systemDir, localDir string) *Keystore {
	return &Keystore{systemDir: systemDir, localDir: localDir}
}

// Key is one public key.
type Key struct{}

// ReadKeys reads one or more public keys, armoured or binary. It takes at most
// a bounded number of bytes; private keys are refused.
func ReadKeys(r io.Reader) ([]*Key, error) { return nil, errors.ErrUnsupported }

// Fingerprint returns the fingerprint of the primary key in lower-case hex.
func (k *Key) Fingerprint() string { return "" }

// SubkeyFingerprints returns the fingerprints of the subkeys.
func (k *Key) SubkeyFingerprints() []string { return nil }

// Identities returns the names the key goes by, sorted.
func (k *Key) Identities() []string { return nil }

// Review returns what a person is shown before trusting the key: fingerprint,
// subkey fingerprints and identities, each line ended.
func (k *Key) Review() string { return "" }

// AddPrefix trusts key for the images at and below prefix and returns the file
// it is in. If it is there already the error is ErrExists, with the path.
func (s *Keystore) AddPrefix(prefix appc.ACIdentifier, key *Key) (path string, err error) {
	return "", errors.ErrUnsupported
}

// AddRoot trusts key for all images and returns the file it is in. If it is
// there already the error is ErrExists, with the path.
func (s *Keystore) AddRoot(key *Key) (path string, err error) {
	return "", errors.ErrUnsupported
}

// Signer is who made a signature that was found good.
type Signer struct {
	Fingerprint string   // of the primary key
	Identities  []string // sorted
}

// Verify checks that sig, armoured or binary, is a signature over all of
// signed by a key that is trusted for the image name.
func (s *Keystore) Verify(name appc.ACIdentifier, signed, sig io.Reader) (*Signer, error) {
	return nil, errors.ErrUnsupported
}
