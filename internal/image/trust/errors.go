package trust

import "errors"

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
	ErrOtherPrefix = errors.New("openpgp: signature made by a key that is not trusted for this image")
	// ErrBadSignature means that the image is not what was signed.
	ErrBadSignature = errors.New("openpgp: bad signature: the image is not what was signed")
	// ErrKeyExpired means that the key or the signature is past its time.
	ErrKeyExpired = errors.New("openpgp: signature or signing key has expired")
	// ErrKeyRevoked means that the key's owner has withdrawn it.
	ErrKeyRevoked = errors.New("openpgp: signing key was revoked")
	// ErrWeak means that the signature or its key is too weak to count.
	ErrWeak = errors.New("openpgp: signature is too weak")
	// ErrWeakKey means that the key is too weak to count.
	ErrWeakKey = errors.New("openpgp: key is too weak")
	// ErrKeyFuture means that the key was made in the future, so it seems.
	ErrKeyFuture = errors.New("openpgp: key is not valid yet")
	// ErrCannotSign means that the key is not for signing.
	ErrCannotSign = errors.New("openpgp: key may not sign")
	// ErrExists is returned when a key is already in the keystore.
	ErrExists = errors.New("key already in the keystore")
)
