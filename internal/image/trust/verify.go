package trust

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"rkt/internal/appc"
	"rkt/internal/errhint"
)

const (
	maxSignatureFile = 64 << 10
	maxSignatures    = 16
)

// Signer is who made a signature that was found good.
type Signer struct {
	Fingerprint string   // of the primary key
	Identities  []string // sorted
}

// Signature is a detached signature that was read but not checked.
type Signature struct {
	packets []byte
	issuers []uint64
}

// ReadSignature reads a detached signature, armoured or binary, of bounded
// size: ErrNoSignature, ErrMalformedSignature.
func ReadSignature(r io.Reader) (*Signature, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSignatureFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSignatureFile {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrMalformedSignature, maxSignatureFile)
	}
	if b, err = unarmor(b); err != nil {
		return nil, err
	}
	sig := &Signature{packets: b}
	for packets := packet.NewReader(bytes.NewReader(b)); ; {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformedSignature, err)
		}
		if err := sig.add(p); err != nil {
			return nil, err
		}
	}
	if len(sig.issuers) == 0 {
		return nil, ErrNoSignature
	}
	return sig, nil
}

// unarmor returns the binary form of a signature.
func unarmor(b []byte) ([]byte, error) {
	const highBit = 0x80 // every OpenPGP packet begins with it
	if len(b) > 0 && b[0]&highBit != 0 {
		return b, nil
	}
	if !bytes.Contains(b, []byte(armorStart)) {
		return nil, ErrNoSignature
	}
	block, err := armor.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%w: the armour is damaged: %w", ErrMalformedSignature, err)
	}
	if block.Type != openpgp.SignatureType {
		return nil, fmt.Errorf("%w: it is a %.40q", ErrNoSignature, block.Type)
	}
	out, err := io.ReadAll(block.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: the armour is damaged: %w", ErrMalformedSignature, err)
	}
	return out, nil
}

// add takes a packet of the signature. Only signatures over the very bytes of
// a file are accepted: one over a text would not notice changed line ends.
func (s *Signature) add(p packet.Packet) error {
	sig, ok := p.(*packet.Signature)
	switch {
	case !ok:
		return fmt.Errorf("%w: there is something else in it", ErrMalformedSignature)
	case sig.SigType != packet.SigTypeBinary:
		return fmt.Errorf("%w: it is not a signature over a file", ErrMalformedSignature)
	case sig.IssuerKeyId == nil:
		return fmt.Errorf("%w: it does not name its key", ErrMalformedSignature)
	case len(s.issuers) == maxSignatures:
		return fmt.Errorf("%w: there are more than %d signatures in it", ErrMalformedSignature, maxSignatures)
	}
	s.issuers = append(s.issuers, *sig.IssuerKeyId)
	return nil
}

// Verify checks that sig, armoured or binary, is a signature over all of
// signed by a key that is trusted for the image name.
func (s *Keystore) Verify(name appc.ACIdentifier, signed, sig io.Reader) (*Signer, error) {
	signature, err := ReadSignature(sig)
	if err != nil {
		return nil, err
	}
	return s.VerifySignature(name, signed, signature)
}

// VerifySignature is Verify for a signature that was read before.
func (s *Keystore) VerifySignature(name appc.ACIdentifier, signed io.Reader, sig *Signature) (*Signer, error) {
	keys, err := s.CheckIssuer(name, sig)
	if errors.Is(err, ErrOtherPrefix) {
		// The name may be what was changed.
		if bad := s.CheckContent(signed, sig); bad != nil {
			return nil, bad
		}
	}
	if err != nil {
		return nil, err
	}
	return verify(keys, signed, sig)
}

// CheckContent says whether signed was changed since it was signed by any key
// that is trusted for any image at all: ErrBadSignature. It is for telling a
// changed image from one that was bad all along, not for trusting one.
func (s *Keystore) CheckContent(signed io.Reader, sig *Signature) error {
	var keys []*Key
	for _, p := range s.known(sig.issuers) {
		keys = append(keys, p.key)
	}
	if keys == nil {
		return nil
	}
	if _, err := verify(keys, signed, sig); errors.Is(err, ErrBadSignature) {
		return err
	}
	return nil
}

// verify checks that one of the keys has signed all of signed.
func verify(keys []*Key, signed io.Reader, sig *Signature) (*Signer, error) {
	list := make(openpgp.EntityList, len(keys))
	for i, key := range keys {
		list[i] = key.entity
	}
	details, err := openpgp.VerifyDetachedSignatureReader(list, signed, bytes.NewReader(sig.packets), config())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformedSignature, err)
	}
	if _, err := io.Copy(io.Discard, details.UnverifiedBody); err != nil {
		return nil, err
	}
	return judge(details)
}

// CheckIssuer returns the keys that are trusted for the image name and may
// have made the signature: ErrUnknownKey or ErrOtherPrefix if there are none.
// It allows to refuse an image before it is there.
func (s *Keystore) CheckIssuer(name appc.ACIdentifier, sig *Signature) ([]*Key, error) {
	ring, err := s.keyring(name)
	if err != nil {
		return nil, err
	}
	var keys []*Key
	for _, key := range ring {
		if slices.ContainsFunc(sig.issuers, key.hasID) {
			keys = append(keys, key)
		}
	}
	if keys != nil {
		return keys, nil
	}
	return nil, s.untrusted(name, sig)
}

// untrusted returns the error for a signature by no key that is trusted for
// the image.
func (s *Keystore) untrusted(name appc.ACIdentifier, sig *Signature) error {
	hint := "If you expected the signing key to change, try running:\n    rkt trust --prefix " + string(name)
	ids := make([]string, len(sig.issuers))
	for i, id := range sig.issuers {
		ids[i] = fmt.Sprintf("%016X", id)
	}
	var prefixes []string
	for _, p := range s.known(sig.issuers) {
		if p.prefix != "" && !slices.Contains(prefixes, p.prefix) {
			prefixes = append(prefixes, p.prefix)
		}
	}
	err := fmt.Errorf("%w (key ID %s, image %q)", ErrUnknownKey, strings.Join(ids, ", "), name)
	if prefixes != nil {
		err = fmt.Errorf("%w: key ID %s is trusted for %s, not for %q",
			ErrOtherPrefix, strings.Join(ids, ", "), strings.Join(prefixes, ", "), name)
	}
	return errhint.With(err, hint)
}

// judge looks at all signatures of a file. One that is good is enough.
func judge(details *openpgp.MessageDetails) (*Signer, error) {
	if details.SignatureError == nil && details.SignedBy != nil && details.Signature != nil {
		key := &Key{details.SignedBy.Entity}
		if err := key.checkNow(details.SignedBy.PublicKey.KeyId); err != nil {
			return nil, err
		}
		return &Signer{Fingerprint: key.Fingerprint(), Identities: key.Identities()}, nil
	}
	for _, candidate := range details.SignatureCandidates {
		if candidate.SignedByEntity != nil && candidate.SignatureError != nil {
			key := &Key{candidate.SignedByEntity}
			return nil, key.explain(candidate.IssuerKeyId, candidate.SignatureError)
		}
	}
	return nil, ErrUnknownKey
}

// explain says why a signature by the part of the key with the given id is not
// good.
func (k *Key) explain(id uint64, err error) error {
	if class := classify(err); class != nil {
		return fmt.Errorf("%w (key %s): %w", class, k.Fingerprint(), err)
	}
	// The library does not say why a part of a key may not sign.
	var structural pgperrors.StructuralError
	if errors.As(err, &structural) {
		if now := k.checkNow(id); now != nil {
			return now
		}
		return fmt.Errorf("%w: key %s may not sign: %w", ErrWeak, k.Fingerprint(), err)
	}
	return fmt.Errorf("%w (key %s): %w", ErrBadSignature, k.Fingerprint(), err)
}
