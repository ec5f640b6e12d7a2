package discover

import (
	"context"
	"io"
	"net/url"
	"strings"
	"testing"

	"rkt/internal/appc"
)

// onePage is the same page everywhere.
type onePage string

func (p onePage) Page(context.Context, string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(p))), nil
}

// FuzzPage reads any page. Whatever is on it, what comes out are https URLs
// without passwords.
func FuzzPage(f *testing.F) {
	for _, page := range []string{
		meta(imageTag, "a.com https://dl.a.com/{os}/{arch}/{name}-{version}.{ext}"),
		meta(imageTag, "a.com/b https://a.com/{flavour}.{ext}?v={version}"),
		meta(imageTag, "a.com/ https://a.com/a.aci"),
		meta(keysTag, "a.com https://a.com/keys.gpg"),
		"<meta name=ac-discovery content='a.com&#32;https://one/a'><meta name=ac-discovery content='a.com/b https://two/a'>",
		"<title><b></title><style>p{}</style><script>x</script><noscript></noscript><META CONTENT='a.com https://a.com' NAME=ac-discovery>",
		"<template><meta></template><!-- c --><base><link><meta name=ac-discovery-pubkeys content='a.com https://a.com/k'></head>",
		"<html><head><meta name=ac-discovery content='a.com https://one/a'><meta name=ac-dis",
	} {
		f.Add(page, "1.0", "sour")
	}
	f.Fuzz(func(t *testing.T, page, version, flavour string) {
		d := &Discoverer{Client: onePage(page)}
		wanted := appc.Labels{{Name: "version", Value: version}, {Name: "flavour", Value: flavour}, {Name: "os", Value: "linux"}, {Name: "arch", Value: "amd64"}}
		var found []string
		if i, err := d.Image(t.Context(), "a.com/b/c", wanted); err == nil {
			found = append(found, i.ACI, i.Signature)
			if i.ACI == i.Signature {
				t.Errorf("the image is its own signature: %q", i.ACI)
			}
		}
		keys, err := d.Keys(t.Context(), "a.com/b/c")
		if err == nil && len(keys) == 0 {
			t.Error("no keys, and no error")
		}
		for _, k := range keys {
			found = append(found, k.URL)
		}
		for _, location := range found {
			u, err := url.Parse(location)
			if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
				t.Errorf("%q came out of %q: %v", location, page, err)
			}
		}
	})
}
