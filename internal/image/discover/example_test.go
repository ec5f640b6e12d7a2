package discover_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"rkt/internal/appc"
	"rkt/internal/image/discover"
)

// pages stands for a client that reaches hosts.
type pages map[string]string

func (p pages) Page(_ context.Context, url string) (io.ReadCloser, error) {
	page, ok := p[url]
	if !ok {
		return nil, fmt.Errorf("bad HTTP status code: 404")
	}
	return io.NopCloser(strings.NewReader(page)), nil
}

func ExampleDiscoverer_Image() {
	d := discover.Discoverer{Client: pages{"https://example.com?ac-discovery=1": `<head>
		<meta name="ac-discovery" content="example.com https://example.com/images/{name}-{version}-{os}-{arch}.{ext}">`}}
	found, err := d.Image(context.Background(), "example.com/app", appc.Labels{
		{Name: "version", Value: "v1.0.0"}, {Name: "os", Value: "linux"}, {Name: "arch", Value: "amd64"},
	})
	fmt.Println(found.ACI, found.Signature, err)
	// Output: https://example.com/images/example.com/app-v1.0.0-linux-amd64.aci https://example.com/images/example.com/app-v1.0.0-linux-amd64.aci.asc <nil>
}

func ExampleDiscoverer_Keys() {
	d := discover.Discoverer{Client: pages{"https://example.com/app?ac-discovery=1": `<head>
		<meta name="ac-discovery-pubkeys" content="example.com/app https://example.com/keys.gpg">`}}
	found, err := d.Keys(context.Background(), "example.com/app")
	fmt.Println(found[0].URL, err)
	_, err = d.Keys(context.Background(), "example.com/other")
	fmt.Println(err)
	// Output:
	// https://example.com/keys.gpg <nil>
	// discovery failed for "example.com/other": https://example.com/other?ac-discovery=1: bad HTTP status code: 404; https://example.com?ac-discovery=1: bad HTTP status code: 404
}
