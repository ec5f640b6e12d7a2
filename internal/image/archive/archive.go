// Package archive reads the archives that images come in: a tar, plain or
// compressed, with the file "manifest" and the directory "rootfs".
//
// Archives come from strangers. The reader trusts no name, link, size or type
// in them: an entry is handed out only if it lies inside the image, by name
// and by link, and every amount is bounded. What holds for one use of an
// archive holds for all, because import, rendering and extraction read through
// the same Reader.
package archive

import (
	"archive/tar"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
)

// Errors of the reader. Each comes wrapped with what was found.
var (
	// ErrInvalid means that the archive is not an image.
	ErrInvalid = errors.New("invalid image archive")
	// ErrTooLarge means that the archive has more bytes than the limits allow.
	ErrTooLarge = errors.New("image too large")
)

// Limits bound what an archive may hold.
type Limits struct {
	// Size is the number of bytes of the uncompressed archive, and of the
	// files in it. It is never more than 1 TiB.
	Size int64
	// Entries is the number of entries.
	Entries int
	// Manifest is the size of the manifest in bytes.
	Manifest int64
}

const (
	defaultSize     = 1 << 40
	defaultEntries  = 500_000
	defaultManifest = 1 << 20
)

// withDefaults returns the limits with those that are 0 replaced by the
// default ones.
func (l Limits) withDefaults() Limits {
	if l.Size == 0 || l.Size > defaultSize {
		l.Size = defaultSize
	}
	if l.Entries == 0 {
		l.Entries = defaultEntries
	}
	if l.Manifest == 0 {
		l.Manifest = defaultManifest
	}
	return l
}

// invalid returns an error that wraps ErrInvalid.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// explain turns the errors of the decoders below into errors that wrap
// ErrInvalid. Errors of reading are returned as they are.
func explain(err error) error {
	var (
		corrupt   flate.CorruptInputError
		structure bzip2.StructuralError
		internal  flate.InternalError // of a code that no encoder writes
	)
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, ErrInvalid), errors.Is(err, ErrTooLarge):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return invalid("it is truncated")
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong):
		return invalid("it is not a tar archive, or a damaged one")
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum),
		errors.As(err, &corrupt), errors.As(err, &structure), errors.As(err, &internal),
		errors.Is(err, errXZ):
		return invalid("the compressed data is damaged")
	default:
		return err
	}
}
