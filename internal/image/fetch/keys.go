package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"

	"rkt/internal/image/web"
)

// maxKeys bounds the size of a file with keys in bytes.
const maxKeys = 1 << 20

// GetKeys reads what a key location holds, a path or an http or https URL, for
// trust.ReadKeys.
func (f *Fetcher) GetKeys(ctx context.Context, location string) ([]byte, error) {
	switch u, err := url.Parse(location); {
	case err == nil && u.Scheme == "http" && !f.Insecure.HTTP:
		return nil, errors.New("--insecure-allow-http required for http URLs")
	case err == nil && (u.Scheme == "http" || u.Scheme == "https"):
		client := f.client()
		defer client.Close()
		b, err := client.All(ctx, web.Request{URL: location}, maxKeys)
		if err != nil {
			return nil, fmt.Errorf("error downloading the key: %w", err)
		}
		return b, nil
	}
	file, err := openRegular(location)
	if err != nil {
		return nil, fmt.Errorf("error opening key file: %w", err)
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxKeys+1))
}
