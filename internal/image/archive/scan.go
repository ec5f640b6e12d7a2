package archive

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"rkt/internal/image/relay"
)

// IDPrefix is what every image id begins with.
const IDPrefix = "sha512-"

// ErrDigest means that an archive is not the one that was asked for.
var ErrDigest = errors.New("the content does not match the image ID")

// ID returns the image id for the SHA-512 digest of an uncompressed archive.
func ID(digest []byte) string {
	return IDPrefix + hex.EncodeToString(digest)[:64]
}

// Info is what Scan finds out about an archive.
type Info struct {
	ID          string
	Manifest    []byte
	Size        int64 // uncompressed
	Compression Compression
	Entries     int
	// Duplicates says that a name occurs more than once, so that who wants the
	// final tree has to read the archive twice.
	Duplicates bool
}

// Visit gets an entry of an archive other than its manifest, and its data.
type Visit func(e *Entry, data io.Reader)

// Scan reads a whole archive, compressed or not, and checks everything about
// it that can be checked without its meaning. Each entry is shown to visit, if
// that is not nil, when it has been checked; what follows it has not been, so
// that what visit makes of it must go if Scan fails.
func Scan(r io.Reader, limits Limits, visit Visit) (*Info, error) {
	plain, compression, err := Decompress(r)
	if err != nil {
		return nil, err
	}
	ahead := relay.NewAhead(plain)
	defer ahead.Close()
	digest := sha512.New()
	reader := NewReader(io.TeeReader(ahead, digest), limits)
	info := &Info{Compression: compression}
	for {
		entry, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		switch {
		case entry.Manifest:
			if info.Manifest, err = io.ReadAll(reader); err != nil {
				return nil, err
			}
		case visit != nil:
			visit(entry, reader)
		}
	}
	info.ID = ID(digest.Sum(nil))
	info.Size = reader.source.offset()
	info.Entries = reader.entries
	info.Duplicates = reader.Duplicates()
	return info, nil
}

// PeekManifest returns the manifest of an archive without reading on. Nothing
// that follows the manifest has been checked then.
func PeekManifest(r io.Reader, limits Limits) ([]byte, error) {
	plain, _, err := Decompress(r)
	if err != nil {
		return nil, err
	}
	reader := NewReader(plain, limits)
	for {
		entry, err := reader.Next()
		if err != nil {
			return nil, err // at the end it is not io.EOF, the manifest is missing
		}
		if entry.Manifest {
			return io.ReadAll(reader)
		}
	}
}

// Verified returns a reader of the uncompressed archive r that ends with
// ErrDigest instead of io.EOF if its content does not match the image id.
func Verified(r io.Reader, id string) io.Reader {
	return &verified{r: r, id: id, digest: sha512.New()}
}

type verified struct {
	r      io.Reader
	id     string
	digest hash.Hash
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.digest.Write(p[:n])
	if errors.Is(err, io.EOF) {
		if got := ID(v.digest.Sum(nil)); got != v.id {
			return n, fmt.Errorf("%w: it is %s", ErrDigest, got)
		}
	}
	return n, err
}

// WithContext returns a reader that stops with the context's cause when it is
// done.
func WithContext(ctx context.Context, r io.Reader) io.Reader { return contextReader{ctx, r} }

type contextReader struct {
	ctx context.Context //nolint:containedctx // a reader has no other way to know
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
