package appc

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

func checkKind(kind, want string) error {
	if kind == "" {
		return at("acKind", fmt.Errorf("missing, must be %q", want))
	}
	if kind != want {
		return at("acKind", fmt.Errorf("is %q, must be %q", kind, want))
	}
	return nil
}

// checkVersion checks a version of the form of semver.org 2.0.
func checkVersion(s string) error {
	if s == "" {
		return errors.New("missing")
	}
	rest, build, hasBuild := strings.Cut(s, "+")
	core, pre, hasPre := strings.Cut(rest, "-")
	ok := (!hasBuild || validVersionParts(build, false)) && (!hasPre || validVersionParts(pre, true))
	numbers := strings.Split(core, ".")
	ok = ok && len(numbers) == 3
	for _, n := range numbers {
		ok = ok && isVersionNumber(n)
	}
	if !ok {
		return fmt.Errorf("%q is not a version of the form 1.2.3", s)
	}
	return nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func isVersionNumber(s string) bool {
	return isDigits(s) && (s == "0" || s[0] != '0')
}

// validVersionParts checks what follows "-" or "+" in a version. In the first
// a number must not begin with a zero.
func validVersionParts(s string, strict bool) bool {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || strict && isDigits(part) && !isVersionNumber(part) {
			return false
		}
		if strings.ContainsFunc(part, func(r rune) bool {
			return !isNameChar(r) && (r < 'A' || r > 'Z') && r != '-'
		}) {
			return false
		}
	}
	return true
}

// checkText refuses what cannot be passed to a program.
func checkText(s string) error {
	if strings.ContainsRune(s, 0) {
		return errors.New("has a NUL character")
	}
	return nil
}

func checkIdentifier(n ACIdentifier) error {
	if n == "" {
		return errors.New("missing")
	}
	_, err := NewACIdentifier(string(n))
	return err
}

func checkACName(n ACName) error {
	if n == "" {
		return errors.New("missing")
	}
	_, err := NewACName(string(n))
	return err
}

// checkPath checks an absolute path that stays below where it starts.
func checkPath(p string) error {
	if p == "" {
		return errors.New("missing")
	}
	if !path.IsAbs(p) {
		return fmt.Errorf("%q is not an absolute path", p)
	}
	if slices.Contains(strings.Split(p, "/"), "..") {
		return fmt.Errorf("%q has a \"..\" in it", p)
	}
	return checkText(p)
}

func (l Labels) validate() error {
	for i, label := range l {
		err := checkIdentifier(label.Name)
		if label.Name == "name" {
			err = errors.New(`the label "name" is reserved`)
		}
		if err = first(at("name", err), at("value", checkText(label.Value))); err != nil {
			return at(index("labels", i), err)
		}
	}
	return unique("labels", l, func(l Label) string { return string(l.Name) })
}

func (a Annotations) validate() error {
	return each("annotations", a, func(a Annotation) error {
		return first(at("name", checkIdentifier(a.Name)), at("value", checkAnnotationValue(a)))
	})
}
