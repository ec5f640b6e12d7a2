package imagetest

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// Signer is a key pair that signs images.
type Signer struct{ entity *openpgp.Entity }

// NewSigner makes a key pair for name <email>.
func NewSigner(t testing.TB, name, email string) *Signer {
	t.Helper()
	entity, err := openpgp.NewEntity(name, "", email, &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		t.Fatal(err)
	}
	return &Signer{entity}
}

// Fingerprint returns that of the primary key, in lower case.
func (s *Signer) Fingerprint() string { return hex.EncodeToString(s.entity.PrimaryKey.Fingerprint) }

// PublicKey returns the armoured public key.
func (s *Signer) PublicKey(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.entity.Serialize(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Sign returns an armoured detached signature over data.
func (s *Signer) Sign(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	err := openpgp.ArmoredDetachSign(&b, []*openpgp.Entity{s.entity}, bytes.NewReader(data), nil)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
