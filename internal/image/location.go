package image

import (
	"fmt"
	"net/url"
)

// SignatureExtension is added to the name of an image's archive for that of its
// detached signature.
const SignatureExtension = ".asc"

// SignatureURL returns where the detached signature of the image at a URL is by
// default: beside it.
func SignatureURL(aci string) (string, error) {
	u, err := url.Parse(aci)
	if err != nil {
		return "", fmt.Errorf("%q is no URL: %w", aci, err)
	}
	u.Path += SignatureExtension
	if u.RawPath != "" {
		u.RawPath += SignatureExtension
	}
	return u.String(), nil
}
