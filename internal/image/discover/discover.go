// Package discover finds out where the image with a name, or the keys for a
// prefix of names, can be had: by meta discovery, as the App Container
// specification calls it. The first element of a name is a host. Pages there,
// the one at the whole name first and then those further up, have tags such as
//
//	<meta name="ac-discovery" content="example.com/app https://example.com/{name}-{version}.{ext}">
//	<meta name="ac-discovery-pubkeys" content="example.com https://example.com/keys.gpg">
//
// in their head. The first page with a usable tag counts.
//
// Pages come from strangers. Only the beginning of a page is read, what the
// values of labels put into a template is escaped, and nothing but https URLs
// comes out unless the user allows http.
package discover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"rkt/internal/appc"
)

const (
	// maxPage is how many bytes of a page are looked at. Tags are in the head.
	maxPage = 1 << 20
	// maxTags bounds how many tags of one page are looked at.
	maxTags = 256
	// maxWalk bounds how many pages are asked for, from the whole name up.
	// Nobody has names of so many elements.
	maxWalk = 32
)

// ErrNotFound means that no page says where to go.
var ErrNotFound = errors.New("no meta tag for it was found")

// Client gets pages.
type Client interface {
	// Page opens the page at a URL. The caller reads as much as it likes of it
	// and closes it. Anything but an answer with status 200 is an error.
	Page(ctx context.Context, url string) (io.ReadCloser, error)
}

// Discoverer looks for images and keys. Only Client is required.
type Discoverer struct {
	Client Client
	// AllowHTTP lets pages be asked for by plain http where https fails, and
	// lets tags name http URLs.
	AllowHTTP bool
	// Diag is told which pages are asked for and what becomes of it.
	Diag func(text string)
}

// Image is where an image can be had.
type Image struct {
	ACI       string // URL of the archive
	Signature string // URL of its detached signature
	Page      string // URL of the page that says so
}

// Key is where a key can be had.
type Key struct {
	URL  string
	Page string // URL of the page that says so
}

// Image returns where the image with the given name and labels can be had.
// Labels should have os and arch; a missing version is "latest". Of several
// tags that match, the one with the longest prefix counts, of several with the
// same the first. ErrNotFound comes wrapped in an *Error.
func (d *Discoverer) Image(ctx context.Context, name appc.ACIdentifier, labels appc.Labels) (*Image, error) {
	var found *Image
	err := d.walk(ctx, name, imageTag, func(page string, tags []tag) (err error) {
		found, err = d.choose(page, tags, name, labels)
		return err
	})
	return found, err
}

// Keys returns where the keys for the prefix of image names can be had: all
// that the first page with usable tags names, each once, longest prefix first.
// ErrNotFound comes wrapped in an *Error.
func (d *Discoverer) Keys(ctx context.Context, prefix appc.ACIdentifier) ([]Key, error) {
	var found []Key
	err := d.walk(ctx, prefix, keysTag, func(page string, tags []tag) (err error) {
		found, err = d.locations(page, tags)
		return err
	})
	return found, err
}

// walk asks for pages until use makes something of the tags of one.
func (d *Discoverer) walk(ctx context.Context, name appc.ACIdentifier, kind string, use func(page string, tags []tag) error) error {
	failed := &Error{Name: string(name)}
	schemes := d.schemes()
	path, walked := string(name), 0
	for more := true; more && walked < maxWalk && len(schemes) > 0; walked++ {
		for _, scheme := range schemes {
			page := scheme + "://" + path + "?ac-discovery=1"
			tags, err := d.read(ctx, page, kind, name)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err == nil {
				err = use(page, tags)
			}
			if err == nil || isUnasked(err) {
				return err
			}
			d.diag(fmt.Sprintf("discovery: %s: %v", page, err))
			failed.add(page, err)
			if isUnreachable(err) {
				// All pages are on this host.
				schemes = without(schemes, scheme)
			} else if answered(err) {
				break
			}
		}
		path, more = parent(path)
	}
	return failed
}

func (d *Discoverer) schemes() []string {
	if d.AllowHTTP {
		return []string{"https", "http"}
	}
	return []string{"https"}
}

func without(schemes []string, scheme string) []string {
	var rest []string
	for _, s := range schemes {
		if s != scheme {
			rest = append(rest, s)
		}
	}
	return rest
}

// parent returns the name without its last element, if it has several.
func parent(name string) (string, bool) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return "", false
	}
	return name[:i], true
}

// read returns the tags of a page that are for the name.
func (d *Discoverer) read(ctx context.Context, page, kind string, name appc.ACIdentifier) ([]tag, error) {
	body, err := d.Client.Page(ctx, page)
	if err != nil {
		return nil, err
	}
	all, err := readTags(io.LimitReader(body, maxPage), kind)
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	tags := matching(all, string(name))
	if len(tags) == 0 {
		return nil, errNoTag
	}
	return tags, nil
}

// isUnreachable says whether there was nobody to ask.
func isUnreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// isUnasked says whether nobody was asked, because of who asks: an error says so by
// a method.
func isUnasked(err error) bool {
	var unasked interface{ Unasked() }
	return errors.As(err, &unasked)
}

// errNoTag and errUnusable are about pages that were read.
var (
	errNoTag    = errors.New("the page has no meta tag for it")
	errUnusable = errors.New("no meta tag of the page can be used")
)

// answered says whether the page was there, so that there is no reason to ask
// for it in a less secure way.
func answered(err error) bool { return errors.Is(err, errNoTag) || errors.Is(err, errUnusable) }

func (d *Discoverer) diag(text string) {
	if d.Diag != nil {
		d.Diag(text)
	}
}
