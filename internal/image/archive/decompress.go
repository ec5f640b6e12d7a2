package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
)

// Compression is the way an archive is compressed.
type Compression string

// The compressions an archive may have.
const (
	Plain Compression = "none"
	Gzip  Compression = "gzip"
	Bzip2 Compression = "bzip2"
	XZ    Compression = "xz"
)

const (
	bufferSize  = 64 << 10
	magicOffset = 257 // of "ustar" in a tar header
)

// Decompress returns the tar inside r, whose compression it recognises by its
// first bytes.
func Decompress(r io.Reader) (io.Reader, Compression, error) {
	buffered := bufio.NewReaderSize(r, bufferSize)
	head, err := buffered.Peek(magicOffset + len("ustar"))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, "", err
	}
	switch {
	case len(head) == 0:
		return nil, "", invalid("it is empty")
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, "", explain(err)
		}
		return explained{z}, Gzip, nil
	case bytes.HasPrefix(head, []byte("BZh")):
		return explained{bzip2.NewReader(buffered)}, Bzip2, nil
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		z, err := newXZReader(buffered)
		if err != nil {
			return nil, "", explain(err)
		}
		return explained{z}, XZ, nil
	case len(head) > magicOffset && bytes.Equal(head[magicOffset:], []byte("ustar")):
		return buffered, Plain, nil
	default:
		return nil, "", invalid("it is neither a tar archive nor one compressed with gzip, bzip2 or xz")
	}
}

// explained makes the errors of a decoder clear.
type explained struct{ r io.Reader }

func (e explained) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	return n, explain(err)
}
