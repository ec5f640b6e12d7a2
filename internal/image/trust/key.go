package trust

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

const (
	maxKeyFile = 1 << 20
	maxKeys    = 100
)

const armorStart = "-----BEGIN PGP "

// Key is one public key.
type Key struct{ entity *openpgp.Entity }

// ReadKeys reads one or more public keys, armoured or binary. It takes at most
// a bounded number of bytes; private keys are refused.
func ReadKeys(r io.Reader) ([]*Key, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxKeyFile {
		return nil, fmt.Errorf("more than %d bytes are too many for keys", maxKeyFile)
	}
	blocks, err := keyBlocks(b)
	if err != nil {
		return nil, err
	}
	var keys []*Key
	for _, block := range blocks {
		entities, err := openpgp.ReadKeyRing(block)
		if err != nil {
			return nil, fmt.Errorf("not a public key: %w", explainUnreadable(err))
		}
		for _, e := range entities {
			if e.PrivateKey != nil {
				return nil, errors.New("it is a private key: export the public one")
			}
			keys = append(keys, &Key{e})
		}
	}
	if len(keys) == 0 || len(keys) > maxKeys {
		return nil, fmt.Errorf("there are %d public keys in it", len(keys))
	}
	return keys, nil
}

// keyBlocks returns the binary form of each armoured block, or b itself if
// there is none.
func keyBlocks(b []byte) ([]io.Reader, error) {
	var blocks []io.Reader
	for rest := b; ; {
		start := bytes.Index(rest, []byte(armorStart))
		if start < 0 {
			break
		}
		block, err := armor.Decode(bytes.NewReader(rest[start:]))
		if err != nil {
			return nil, fmt.Errorf("not a public key: the armour is damaged: %w", err)
		}
		if block.Type == openpgp.PrivateKeyType {
			return nil, errors.New("it is a private key: export the public one")
		}
		if block.Type != openpgp.PublicKeyType {
			return nil, fmt.Errorf("not a public key: it is a %.40q", block.Type)
		}
		blocks = append(blocks, block.Body)
		rest = rest[start+len(armorStart):]
	}
	if blocks == nil {
		blocks = append(blocks, bytes.NewReader(b))
	}
	return blocks, nil
}

// Fingerprint returns the fingerprint of the primary key in lower-case hex.
func (k *Key) Fingerprint() string { return hex.EncodeToString(k.entity.PrimaryKey.Fingerprint) }

// SubkeyFingerprints returns the fingerprints of the subkeys.
func (k *Key) SubkeyFingerprints() []string {
	var fingerprints []string
	for _, sub := range k.entity.Subkeys {
		fingerprints = append(fingerprints, hex.EncodeToString(sub.PublicKey.Fingerprint))
	}
	return fingerprints
}

// Identities returns the names that the key's owner has given it, sorted.
// Names that others have put there are left out.
func (k *Key) Identities() []string {
	var names []string
	for name, identity := range k.entity.Identities {
		if _, err := identity.Verify(time.Time{}, config()); err == nil {
			names = append(names, printable(name))
		}
	}
	slices.Sort(names)
	return names
}

// printable replaces what could move a terminal's cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// Review returns what a person is shown before trusting the key: fingerprint,
// subkey fingerprints and identities, each line ended.
func (k *Key) Review() string {
	var b strings.Builder
	fmt.Fprintf(&b, "gpg key fingerprint is: %s\n", grouped(k.Fingerprint()))
	for _, fingerprint := range k.SubkeyFingerprints() {
		fmt.Fprintf(&b, "    Subkey fingerprint: %s\n", grouped(fingerprint))
	}
	for _, name := range k.Identities() {
		fmt.Fprintf(&b, "\t%s\n", name)
	}
	return b.String()
}

// grouped writes a fingerprint as people compare it: in groups of four digits,
// with a gap in the middle.
func grouped(fingerprint string) string {
	const group = 4
	digits := strings.ToUpper(fingerprint)
	var b strings.Builder
	for i := 0; i < len(digits); i += group {
		if i > 0 {
			b.WriteByte(' ')
		}
		if i == len(digits)/2 {
			b.WriteByte(' ')
		}
		b.WriteString(digits[i:min(i+group, len(digits))])
	}
	return b.String()
}

// hasID says whether the key or one of its subkeys has the given id.
func (k *Key) hasID(id uint64) bool {
	return len(openpgp.EntityList{k.entity}.EntitiesById(id)) > 0
}
