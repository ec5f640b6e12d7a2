package appc

import (
	"fmt"
	"strings"
)

// Hash is an image id: "sha512-" and hex digits, 64 in the short form that is
// used everywhere in rkt, 128 for a whole digest.
type Hash string

const (
	hashPrefix     = "sha512-"
	hashShortHex   = 64
	hashFullHex    = 128
	hashKeyLength  = len(hashPrefix) + hashShortHex
	hashFullLength = len(hashPrefix) + hashFullHex
)

// String returns the hash as it is written.
func (h Hash) String() string { return string(h) }

// Key returns the short form, with 64 hex digits.
func (h Hash) Key() string {
	if len(h) > hashKeyLength {
		return string(h[:hashKeyLength])
	}
	return string(h)
}

// IsHash says whether s looks like an image id or the beginning of one rather
// than like an image's name.
func IsHash(s string) bool {
	return strings.HasPrefix(s, hashPrefix) && isHex(s[len(hashPrefix):])
}

// ParseHash checks an image id, short or full.
func ParseHash(s string) (Hash, error) {
	switch {
	case !strings.HasPrefix(s, hashPrefix):
		return "", fmt.Errorf("image ID %q does not begin with %q", s, hashPrefix)
	case !isHex(s[len(hashPrefix):]):
		return "", fmt.Errorf("image ID %q has characters that are no lower-case hex digits", s)
	case len(s) < hashKeyLength:
		return "", fmt.Errorf("image ID %q is too short: it has fewer than %d hex digits", s, hashShortHex)
	case len(s) > hashFullLength:
		return "", fmt.Errorf("image ID is too long: it has more than %d hex digits", hashFullHex)
	}
	return Hash(s), nil
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
