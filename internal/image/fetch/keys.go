package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"

	"rkt/internal/appc"
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

// FoundKeys is what was found at one of the locations that discovery has named.
type FoundKeys struct {
	URL  string
	Data []byte // for trust.ReadKeys
	Err  error  // why there is none
}

// DiscoverKeys gets the keys that the owner of a prefix of names says images
// below it are signed with. If there are none it is discover.ErrNotFound.
func (f *Fetcher) DiscoverKeys(ctx context.Context, prefix appc.ACIdentifier) ([]FoundKeys, error) {
	client := f.client()
	defer client.Close()
	places, err := f.discoverer(client).Keys(ctx, prefix)
	if err != nil {
		return nil, err
	}
	var found []FoundKeys
	for _, place := range places {
		k := FoundKeys{URL: place.URL}
		if k.Data, err = client.All(ctx, web.Request{URL: place.URL, From: place.Page}, maxKeys); err != nil {
			k.Err = fmt.Errorf("error downloading the key: %w", err)
		}
		found = append(found, k)
	}
	return found, context.Cause(ctx)
}
