package appc

import (
	"fmt"
	"strings"
)

// ACName is a short name: lower-case letters and digits with single dashes
// inside.
type ACName string

// ACIdentifier is a name of an image, label or annotation: lower-case letters
// and digits, separated by single characters out of "-._~/".
type ACIdentifier string

// String returns the name.
func (n ACName) String() string { return string(n) }

// String returns the identifier.
func (n ACIdentifier) String() string { return string(n) }

const maxNameLength = 1024

// NewACName checks s and returns it as a name.
func NewACName(s string) (ACName, error) {
	return ACName(s), checkName("AC name", s, "-")
}

// NewACIdentifier checks s and returns it as an identifier.
func NewACIdentifier(s string) (ACIdentifier, error) {
	return ACIdentifier(s), checkName("AC identifier", s, "-._~/")
}

// SanitizeACName makes a name out of any string: letters become lower case,
// what a name must not hold becomes a dash, and dashes at the edges go. It
// fails if nothing is left.
func SanitizeACName(s string) (ACName, error) {
	var b strings.Builder
	dash := false
	for _, r := range strings.ToLower(s) {
		if !isNameChar(r) {
			dash = true
			continue
		}
		if dash && b.Len() > 0 {
			b.WriteByte('-')
		}
		dash = false
		b.WriteRune(r)
	}
	if b.Len() == 0 {
		return "", fmt.Errorf("no AC name can be made of %q", s)
	}
	return NewACName(b.String())
}

// checkName checks that s consists of non-empty runs of letters and digits
// with single separators between them.
func checkName(what, s, separators string) error {
	if s == "" {
		return fmt.Errorf("%s must not be empty", what)
	}
	if len(s) > maxNameLength {
		return fmt.Errorf("%s is longer than %d bytes", what, maxNameLength)
	}
	afterSeparator := true
	for _, r := range s {
		switch {
		case isNameChar(r):
			afterSeparator = false
		case !strings.ContainsRune(separators, r):
			return fmt.Errorf("%s %q has the invalid character %q", what, s, r)
		case afterSeparator:
			return fmt.Errorf("%s %q has a %q that does not follow a letter or digit", what, s, r)
		default:
			afterSeparator = true
		}
	}
	if afterSeparator {
		return fmt.Errorf("%s %q does not end in a letter or digit", what, s)
	}
	return nil
}

func isNameChar(r rune) bool {
	return 'a' <= r && r <= 'z' || '0' <= r && r <= '9'
}
