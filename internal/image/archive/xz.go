package archive

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ulikunitz/xz"
)

// maxDictionary bounds the memory that xz data may ask for: what "xz -9" uses.
const maxDictionary = 64 << 20

// errXZ marks errors of the xz decoder, which have no type of their own.
var errXZ = errors.New("xz")

// newXZReader decompresses xz data. The decoder would allocate whatever the data
// asks for, up to 4 GiB for each block, so a guard looks at the headers first.
func newXZReader(r *bufio.Reader) (io.Reader, error) {
	z, err := xz.NewReader(&xzGuard{src: r, next: (*xzGuard).stream})
	if err != nil {
		return nil, markXZ(err)
	}
	return xzReader{z}, nil
}

// xzReader marks the errors of the xz decoder.
type xzReader struct{ r io.Reader }

func (x xzReader) Read(p []byte) (int, error) {
	n, err := x.r.Read(p)
	return n, markXZ(err)
}

func markXZ(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, ErrTooLarge) {
		return err
	}
	return fmt.Errorf("%w: %w", errXZ, err)
}

// xzGuard passes xz data through and follows its structure on the way: The .xz
// File Format 1.2.1, https://tukaani.org/xz/xz-file-format.txt. Chunks of LZMA2
// are as XZ for Java and XZ Utils have them, for there is no other description.
type xzGuard struct {
	src  *bufio.Reader
	left int                  // bytes that may pass before next is asked
	next func(*xzGuard) error // sets left and the next next

	checkSize int // of a block, by the stream's flags
	block     int // bytes of the block so far, modulo 4
}

const (
	xzStreamHeader = 12 // and as many in the footer
	xzFlagsAt      = 7
	xzAlign        = 4
	xzFilterLZMA2  = 0x21
)

func (g *xzGuard) Read(p []byte) (int, error) {
	for g.left == 0 {
		if err := g.next(g); err != nil {
			return 0, err
		}
	}
	n, err := g.src.Read(p[:min(len(p), g.left)])
	g.left -= n
	return n, err
}

// peek returns the next n bytes.
func (g *xzGuard) peek(n int) ([]byte, error) {
	b, err := g.src.Peek(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// pass lets n bytes through.
func (g *xzGuard) pass(n int, next func(*xzGuard) error) error {
	g.left, g.next = n, next
	return nil
}

// stream begins a stream, or the padding between two.
func (g *xzGuard) stream() error {
	b, err := g.src.Peek(xzAlign)
	if len(b) == 0 {
		return err
	}
	if len(b) == xzAlign && binary.LittleEndian.Uint32(b) == 0 {
		return g.pass(xzAlign, (*xzGuard).stream)
	}
	if b, err = g.peek(xzStreamHeader); err != nil {
		return err
	}
	// "Check": sizes by type, 2.1.1.2.
	sizes := []int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}
	g.checkSize = sizes[b[xzFlagsAt]&0xf]
	return g.pass(xzStreamHeader, (*xzGuard).blockOrIndex)
}

func (g *xzGuard) blockOrIndex() error {
	b, err := g.peek(1)
	if err != nil {
		return err
	}
	if b[0] == 0 {
		return g.index()
	}
	size := (int(b[0]) + 1) * xzAlign
	if b, err = g.peek(size); err != nil {
		return err
	}
	if err := checkXZBlock(b); err != nil {
		return err
	}
	g.block = 0
	return g.pass(size, (*xzGuard).chunk)
}

// checkXZBlock looks at a block's header: one filter, with a bounded dictionary.
func checkXZBlock(b []byte) error {
	const (
		filters      = 0x03 // number of filters less one
		hasPacked    = 0x40
		hasUnpacked  = 0x80
		minimalProps = 3
	)
	flags, rest := b[1], b[2:]
	for _, there := range []byte{flags & hasPacked, flags & hasUnpacked} {
		if there == 0 {
			continue
		}
		_, n := binary.Uvarint(rest)
		if n <= 0 {
			return errors.New("malformed block header")
		}
		rest = rest[n:]
	}
	if flags&filters != 0 || len(rest) < minimalProps || rest[0] != xzFilterLZMA2 || rest[1] != 1 {
		return errors.New("a filter that is not supported")
	}
	// "Dictionary Size", 5.3.1.
	bits := rest[2]
	if bits > 40 {
		return errors.New("malformed block header")
	}
	if size := uint64(2|bits&1) << (bits/2 + 11); size > maxDictionary {
		return fmt.Errorf("a dictionary of %d bytes, more than %d", size, maxDictionary)
	}
	return nil
}

// chunk lets one chunk of LZMA2 through.
func (g *xzGuard) chunk() error {
	b, err := g.peek(1)
	if err != nil {
		return err
	}
	header, size := 0, 0
	switch control := b[0]; {
	case control == 0:
		padding := (xzAlign - (g.block+1)%xzAlign) % xzAlign
		return g.pass(1+padding+g.checkSize, (*xzGuard).blockOrIndex)
	case control < 0x80: // stored
		header = 3
	case control < 0xc0:
		header = 5
	default: // new properties
		header = 6
	}
	if b, err = g.peek(header); err != nil {
		return err
	}
	if header == 3 {
		size = int(binary.BigEndian.Uint16(b[1:])) + 1
	} else {
		size = int(binary.BigEndian.Uint16(b[3:])) + 1
	}
	g.block = (g.block + header + size) % xzAlign
	return g.pass(header+size, (*xzGuard).chunk)
}

// index lets the index and the footer through. The decoder compares it with the
// blocks, so it need not be understood, only measured. It is read byte by byte.
func (g *xzGuard) index() error {
	fields, size := uint64(0), 1
	count := func(g *xzGuard, each func(uint64) error) error {
		var value uint64
		shift := 0
		var step func(*xzGuard) error
		step = func(g *xzGuard) error {
			b, err := g.peek(1)
			if err != nil {
				return err
			}
			size = (size + 1) % xzAlign
			value |= uint64(b[0]&0x7f) << shift
			if shift += 7; b[0]&0x80 == 0 {
				return errors.Join(g.pass(1, g.next), each(value))
			}
			if shift > 63 {
				return errors.New("malformed index")
			}
			return g.pass(1, step)
		}
		return g.pass(0, step)
	}
	var record func(uint64) error
	record = func(uint64) error {
		if fields == 0 {
			padding := (xzAlign - size%xzAlign) % xzAlign
			g.next = func(g *xzGuard) error { return g.pass(padding+xzAlign+xzStreamHeader, (*xzGuard).stream) }
			return nil
		}
		fields--
		g.next = func(g *xzGuard) error { return count(g, record) }
		return nil
	}
	return g.pass(1, func(g *xzGuard) error {
		return count(g, func(records uint64) error {
			if records > 1<<40 {
				return errors.New("malformed index")
			}
			fields = 2 * records
			return record(0)
		})
	})
}
