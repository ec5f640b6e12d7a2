package trust

import (
	"errors"
	"fmt"
	"strings"
	"time"

	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// minRSABits is how long RSA keys have to be.
const minRSABits = 2048

// config says which algorithms count; docs/trust.md says the same to people. The
// defaults refuse DSA, the curve secp256k1, MD5, RIPEMD-160, and signatures over
// images with SHA-1. A key may still be certified with SHA-1, as old ones are: to
// make use of that somebody would have to find a second text with a given sum,
// not just two with the same. A key without flags may sign, as in GnuPG.
func config() *packet.Config {
	return &packet.Config{MinRSABits: minRSABits, InsecureAllowAllKeyFlagsWhenMissing: true}
}

// Check says whether signatures of the key count today: ErrKeyExpired,
// ErrKeyRevoked, ErrKeyFuture, ErrWeakKey or ErrCannotSign if not.
func (k *Key) Check() error {
	primary := k.entity.PrimaryKey
	if made := primary.CreationTime; made.After(time.Now()) {
		return fmt.Errorf("%w: key %s is dated %s", ErrKeyFuture, k.Fingerprint(), made.UTC().Format(time.DateOnly))
	}
	if weakness := weakness(primary); weakness != "" {
		return fmt.Errorf("%w: key %s is %s", ErrWeakKey, k.Fingerprint(), weakness)
	}
	if err := k.checkNow(primary.KeyId); err != nil {
		return err
	}
	if _, ok := k.entity.SigningKey(time.Now(), config()); ok {
		return nil
	}
	return k.whyNotSigning()
}

// whyNotSigning returns what is wrong with the newest part of the key that was
// made to sign.
func (k *Key) whyNotSigning() error {
	reason := fmt.Errorf("%w: none of the parts of key %s is for signing", ErrCannotSign, k.Fingerprint())
	for _, sub := range k.entity.Subkeys {
		binding, err := sub.LatestValidBindingSignature(time.Time{}, config())
		if err != nil || !binding.FlagsValid || !binding.FlagSign {
			continue
		}
		if weakness := weakness(sub.PublicKey); weakness != "" {
			reason = fmt.Errorf("%w: the signing subkey of key %s is %s", ErrWeakKey, k.Fingerprint(), weakness)
		} else if err := k.checkNow(sub.PublicKey.KeyId); err != nil {
			reason = err
		}
	}
	return reason
}

// weakness says what makes a part of a key too weak, "" if nothing does.
func weakness(part *packet.PublicKey) string {
	switch part.PubKeyAlgo {
	case packet.PubKeyAlgoDSA:
		return "a DSA key"
	case packet.PubKeyAlgoElGamal:
		return "an ElGamal key"
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		if bits, err := part.BitLength(); err == nil && bits < minRSABits {
			return fmt.Sprintf("an RSA key of %d bits, %d are the least", bits, minRSABits)
		}
	case packet.PubKeyAlgoECDSA, packet.PubKeyAlgoEdDSA:
		if curve, err := part.Curve(); err == nil && config().RejectCurve(curve) {
			return fmt.Sprintf("a key on the curve %s", curve)
		}
	}
	return ""
}

// checkNow says whether the part of the key with the given id counts today.
// When a signature is checked the library asks that for the time which the
// signature names, and that can be chosen by whoever has the key.
func (k *Key) checkNow(id uint64) error {
	_, err := k.entity.VerifyPrimaryKey(time.Now(), config())
	for _, sub := range k.entity.Subkeys {
		if err == nil && sub.PublicKey.KeyId == id {
			_, err = sub.Verify(time.Now(), config())
		}
	}
	if err == nil {
		return nil
	}
	if class := classify(err); class != nil {
		return fmt.Errorf("%w (key %s%s)", class, k.Fingerprint(), k.details(class))
	}
	return fmt.Errorf("key %s cannot be used: %w", k.Fingerprint(), err)
}

// details says when the key has expired or why its owner has withdrawn it, as
// far as the primary key tells.
func (k *Key) details(class error) string {
	switch {
	case errors.Is(class, ErrKeyExpired):
		self, err := k.entity.PrimarySelfSignature(time.Time{}, config())
		if err != nil || self.KeyLifetimeSecs == nil || *self.KeyLifetimeSecs == 0 {
			return ""
		}
		end := k.entity.PrimaryKey.CreationTime.Add(time.Duration(*self.KeyLifetimeSecs) * time.Second)
		if end.After(time.Now()) {
			return ""
		}
		return ", on " + end.UTC().Format(time.DateOnly)
	case errors.Is(class, ErrKeyRevoked):
		for _, revocation := range k.entity.Revocations {
			if reason := revocation.Packet.RevocationReason; reason != nil {
				return revocationReason(*reason, revocation.Packet.RevocationReasonText)
			}
		}
	}
	return ""
}

// revocationReason writes a reason of RFC 9580, 5.2.3.31.
func revocationReason(reason packet.ReasonForRevocation, text string) string {
	words := ""
	switch reason {
	case packet.KeySuperseded:
		words = ", superseded by another one"
	case packet.KeyCompromised:
		words = ", compromised"
	case packet.KeyRetired:
		words = ", no longer used"
	}
	if text != "" {
		words += fmt.Sprintf(", %q", printable(text))
	}
	return words
}

// explainUnreadable says what the library means by a key that it leaves without
// identities.
func explainUnreadable(err error) error {
	if strings.Contains(err.Error(), "without any identities") {
		return errors.New("there is no name in it that its owner has certified in a way that counts; MD5 and RIPEMD-160 don't")
	}
	return err
}

// classify returns the error of this package for one of the OpenPGP library
// about a key or what it has signed, nil if there is none.
func classify(err error) error {
	var weak pgperrors.WeakAlgorithmError
	switch {
	case errors.Is(err, pgperrors.ErrKeyRevoked):
		return ErrKeyRevoked
	case errors.Is(err, pgperrors.ErrKeyExpired), errors.Is(err, pgperrors.ErrSignatureExpired):
		return ErrKeyExpired
	case errors.As(err, &weak), strings.Contains(err.Error(), "insecure"):
		return ErrWeak
	default:
		return nil
	}
}
