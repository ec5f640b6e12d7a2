package discover

import (
	"fmt"
	"net/url"
	"strings"

	"rkt/internal/appc"
	"rkt/internal/image"
)

// Fields of templates that are no labels.
const (
	nameField    = "name"
	extField     = "ext"
	versionField = "version"
)

// defaultVersion stands for a version where none was asked for.
const defaultVersion = "latest"

// choose returns where the first template that can be used leads.
func (d *Discoverer) choose(page string, tags []tag, name appc.ACIdentifier, labels appc.Labels) (*Image, error) {
	var first error
	for _, t := range tags {
		found, err := d.expand(t.value, name, labels)
		if err == nil {
			found.Page = page
			return found, nil
		}
		d.diag(fmt.Sprintf("discovery: %s: a template is passed over: %v", page, err))
		if first == nil {
			first = fmt.Errorf("%w: %w", errUnusable, err)
		}
	}
	return nil, first
}

// locations returns the URLs of keys in tags.
func (d *Discoverer) locations(page string, tags []tag) ([]Key, error) {
	var keys []Key
	var first error
	seen := make(map[string]bool)
	for _, t := range tags {
		err := d.check(t.value)
		switch {
		case err != nil && first == nil:
			first = fmt.Errorf("%w: %w", errUnusable, err)
		case err == nil && !seen[t.value]:
			seen[t.value] = true
			keys = append(keys, Key{URL: t.value, Page: page})
		}
	}
	if keys == nil {
		return nil, first
	}
	return keys, nil
}

// expand fills in a template.
func (d *Discoverer) expand(template string, name appc.ACIdentifier, labels appc.Labels) (*Image, error) {
	extension := strings.TrimPrefix(image.Extension, ".")
	aci, err := fill(template, values(name, labels, extension))
	if err != nil {
		return nil, err
	}
	sig, err := fill(template, values(name, labels, extension+image.SignatureExtension))
	if err != nil {
		return nil, err
	}
	if err := d.check(aci); err != nil {
		return nil, err
	}
	if sig == aci { // the template has a fixed extension
		if sig, err = image.SignatureURL(aci); err != nil {
			return nil, err
		}
	}
	return &Image{ACI: aci, Signature: sig}, nil
}

// values returns a function for the value of a field.
func values(name appc.ACIdentifier, labels appc.Labels, extension string) func(field string) (string, bool) {
	return func(field string) (string, bool) {
		switch field {
		case nameField:
			return string(name), true // no character of it has a meaning in URLs but the slash, which is meant
		case extField:
			return extension, true
		}
		value, ok := labels.Get(field)
		if !ok && field == versionField {
			return defaultVersion, true
		}
		return escape(value), ok
	}
}

// fill replaces the fields of a template in one pass, so that no value is taken
// for a field.
func fill(template string, value func(field string) (string, bool)) (string, error) {
	var b strings.Builder
	for rest := template; ; {
		before, after, ok := strings.Cut(rest, "{")
		b.WriteString(before)
		if !ok {
			return b.String(), nil
		}
		field, tail, closed := strings.Cut(after, "}")
		if !closed {
			return "", fmt.Errorf("a field has no end")
		}
		v, known := value(field)
		if !known {
			return "", fmt.Errorf("there is no value for {%s}", field)
		}
		b.WriteString(v)
		rest = tail
	}
}

// escape writes all bytes but those that are never special in a URL as
// %-sequences: the value of a label is to become neither another path nor a
// part of a host or query.
func escape(value string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(value) {
		c := value[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&0xf])
	}
	return b.String()
}

// check refuses locations that are not to be gone to.
func (d *Discoverer) check(location string) error {
	u, err := url.Parse(location)
	switch {
	case err != nil:
		return fmt.Errorf("%q is no URL", location)
	case u.Scheme == "http" && !d.AllowHTTP:
		return fmt.Errorf("%q: plain http is not allowed", location)
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "", u.Opaque != "":
		return fmt.Errorf("%q is no https URL", location)
	case u.User != nil:
		return fmt.Errorf("%q has a password in it", u.Redacted())
	}
	return nil
}
