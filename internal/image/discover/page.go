package discover

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Names of the meta tags.
const (
	imageTag = "ac-discovery"
	keysTag  = "ac-discovery-pubkeys"
)

// tag is the content of a meta tag: a prefix of names and what is for them.
type tag struct{ prefix, value string }

// readTags returns the meta tags of one kind in the head of a page. The body,
// where a page may show what its visitors wrote, is not read. A page that ends
// early, in the middle of a tag even, has the tags before that.
func readTags(page io.Reader, kind string) ([]tag, error) {
	tokens := html.NewTokenizer(page)
	tokens.SetMaxBuf(maxPage)
	var tags []tag
	inert := 0 // how deep in templates, which are no part of the page
	for len(tags) < maxTags {
		switch tokens.Next() {
		case html.ErrorToken:
			return tags, readError(tokens.Err())
		case html.EndTagToken:
			switch end := tokens.Token(); {
			case end.DataAtom == atom.Head:
				return tags, nil
			case end.DataAtom == atom.Template && inert > 0:
				inert--
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			start := tokens.Token()
			switch {
			case start.DataAtom == atom.Template:
				inert++
			case inert > 0:
			case !inHead(start.DataAtom):
				return tags, nil
			case start.DataAtom == atom.Meta:
				tags = appendTag(tags, start.Attr, kind)
			}
		case html.TextToken, html.CommentToken, html.DoctypeToken:
		}
	}
	return tags, nil
}

// readError returns what is wrong if it is not the page's end.
func readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, html.ErrBufferExceeded) {
		return nil
	}
	return err
}

// inHead says whether an element may be in the head of a page. With any other
// the body has begun, whether the page says so or not.
func inHead(a atom.Atom) bool {
	switch a {
	case atom.Html, atom.Head, atom.Title, atom.Meta, atom.Link, atom.Base, atom.Style, atom.Script, atom.Noscript:
		return true
	}
	return false
}

// appendTag adds a meta tag if it is of the kind and says something.
func appendTag(tags []tag, attributes []html.Attribute, kind string) []tag {
	if name, _ := attribute(attributes, "name"); name != kind {
		return tags
	}
	content, _ := attribute(attributes, "content")
	fields := strings.Fields(content)
	if len(fields) != 2 {
		return tags
	}
	return append(tags, tag{prefix: strings.TrimRight(fields[0], "/"), value: fields[1]})
}

// attribute returns the value of an attribute. Of several with the same name
// the first counts, as in every browser.
func attribute(attributes []html.Attribute, name string) (string, bool) {
	for _, a := range attributes {
		if a.Namespace == "" && a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

// matching returns the tags whose prefix the name has, longest first and
// otherwise in the order of the page.
func matching(all []tag, name string) []tag {
	var tags []tag
	for _, t := range all {
		if isBelow(name, t.prefix) {
			tags = append(tags, t)
		}
	}
	slices.SortStableFunc(tags, func(a, b tag) int { return cmp.Compare(len(b.prefix), len(a.prefix)) })
	return tags
}

// isBelow says whether the name is the prefix or continues it with a slash.
func isBelow(name, prefix string) bool {
	return prefix != "" && (name == prefix || strings.HasPrefix(name, prefix+"/"))
}
