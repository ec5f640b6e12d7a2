package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
)

// Names of what an archive consists of.
const (
	manifestName = "manifest"
	rootfsName   = "rootfs"
)

const blockSize = 512

// Entry is one entry of an archive.
type Entry struct {
	// Manifest says that this is the image's manifest. Of the rest only Size
	// of Header is set then.
	Manifest bool
	// Name is the path below rootfs, clean and relative; "." is rootfs itself.
	Name string
	// Header is the entry's header with everything checked: Name and, for hard
	// links, Linkname are paths as above, Typeflag is one of TypeReg, TypeLink,
	// TypeSymlink, TypeChar, TypeBlock, TypeDir and TypeFifo, Mode holds
	// permission bits only, and Format is tar.FormatPAX.
	Header tar.Header
}

// Reader reads the entries of one uncompressed archive, in order.
type Reader struct {
	source  *source
	tar     *tar.Reader
	limits  Limits
	tree    tree
	entries int
	data    int64 // bytes of file data so far
	hasRoot bool
	hasMani bool
	begun   bool // an entry was handed out
}

// NewReader returns a Reader of the uncompressed tar r.
func NewReader(r io.Reader, limits Limits) *Reader {
	limits = limits.withDefaults()
	src := &source{r: r, left: limits.Size, limit: limits.Size}
	return &Reader{source: src, tar: tar.NewReader(src), limits: limits, tree: make(tree)}
}

// Next goes on to the next entry. At the end it returns io.EOF, and then the
// archive was read to its last byte and is complete: it has a manifest and a
// rootfs, its end was marked, and nothing but zeros follow.
func (r *Reader) Next() (*Entry, error) {
	for {
		header, err := r.nextHeader()
		if err != nil {
			return nil, err
		}
		entry, err := r.check(header)
		if err != nil {
			return nil, err
		}
		if entry != nil {
			return entry, nil
		}
	}
}

// Read reads the current entry's data.
func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.tar.Read(p)
	return n, r.explain(err)
}

// explain classes an error of the tar reader's. Not all of these have names, but
// what does not come from below is about the archive.
func (r *Reader) explain(err error) error {
	if err == nil || errors.Is(err, io.EOF) || r.source.failed {
		return explain(err)
	}
	return explain(errors.Join(tar.ErrHeader, err))
}

// Duplicates says whether any name but that of a directory occurred more than
// once so far. The later entry counts.
func (r *Reader) Duplicates() bool { return r.tree.hasDuplicates() }

func (r *Reader) nextHeader() (*tar.Header, error) {
	// The rest of the entry is read here rather than by the tar reader, so
	// that it is known where the headers that follow begin.
	if r.begun {
		if _, err := io.Copy(io.Discard, r); err != nil {
			return nil, err
		}
	}
	r.begun = true
	end := r.source.offset()
	header, err := r.tar.Next()
	if errors.Is(err, io.EOF) {
		return nil, r.finish(end)
	}
	if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
		return nil, r.explain(err)
	}
	return header, nil
}

// finish checks the end of the archive; the data of the last entry ended at
// offset end.
func (r *Reader) finish(end int64) error {
	padded := (end + blockSize - 1) / blockSize * blockSize
	if r.source.offset()-padded < 2*blockSize {
		return invalid("it is truncated: its end is not marked")
	}
	buf := make([]byte, bufferSize)
	for {
		n, err := r.source.Read(buf)
		for _, b := range buf[:n] {
			if b != 0 {
				return invalid("there is data after its end")
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return explain(err)
		}
	}
	if !r.hasMani {
		return invalid("it has no manifest")
	}
	if !r.hasRoot {
		return invalid("it has no rootfs")
	}
	return io.EOF
}

// check returns the entry for a header, or nil for one that stands for nothing.
func (r *Reader) check(h *tar.Header) (*Entry, error) {
	if r.entries++; r.entries > r.limits.Entries {
		return nil, invalid("it has more than %d entries", r.limits.Entries)
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil, nil
	}
	parts, err := split(h.Name)
	if err != nil {
		return nil, invalid("entry %q: %w", shorten(h.Name), err)
	}
	switch {
	case len(parts) == 0 && h.Typeflag == tar.TypeDir:
		return nil, nil
	case len(parts) == 1 && parts[0] == manifestName:
		return r.checkManifest(h)
	case len(parts) >= 1 && parts[0] == rootfsName:
		entry, err := r.checkFile(parts[1:], h)
		if err != nil && !errors.Is(err, ErrTooLarge) {
			err = invalid("entry %q: %w", shorten(h.Name), err)
		}
		return entry, err
	default:
		return nil, invalid("entry %q: only \"manifest\" and \"rootfs\" may be in an image", shorten(h.Name))
	}
}

func (r *Reader) checkManifest(h *tar.Header) (*Entry, error) {
	if h.Typeflag != tar.TypeReg {
		return nil, invalid("the manifest is not a regular file")
	}
	if r.hasMani {
		return nil, invalid("it has two manifests")
	}
	if h.Size > r.limits.Manifest {
		return nil, invalid("the manifest has %d bytes, more than %d", h.Size, r.limits.Manifest)
	}
	r.hasMani = true
	return &Entry{Manifest: true, Header: tar.Header{Size: h.Size}}, nil
}

func (r *Reader) checkFile(parts []string, h *tar.Header) (*Entry, error) {
	clean, err := normalize(h)
	if err != nil {
		return nil, err
	}
	if clean.Size > r.limits.Size-r.data {
		return nil, r.source.tooLarge()
	}
	r.data += clean.Size
	r.hasRoot = true
	clean.Name = joinParts(parts)
	if clean.Name == "." {
		if clean.Typeflag != tar.TypeDir {
			return nil, errors.New("rootfs is not a directory")
		}
		return &Entry{Name: ".", Header: *clean}, nil
	}
	if clean.Typeflag == tar.TypeLink {
		if clean.Linkname, err = r.tree.linkTarget(h.Linkname); err != nil {
			return nil, err
		}
		err = r.tree.link(clean.Name, clean.Linkname)
	} else {
		err = r.tree.add(clean.Name, clean.Typeflag)
	}
	return &Entry{Name: clean.Name, Header: *clean}, err
}

// source counts what is read and stops at a limit.
type source struct {
	r           io.Reader
	left, limit int64
	failed      bool // reading has
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p[:min(int64(len(p)), s.left+1)])
	if s.left -= int64(n); s.left < 0 {
		s.left = 0
		s.failed = true
		return 0, s.tooLarge()
	}
	s.failed = s.failed || err != nil && !errors.Is(err, io.EOF)
	return n, err
}

func (s *source) offset() int64 { return s.limit - s.left }

func (s *source) tooLarge() error {
	return fmt.Errorf("%w: it needs more than the %d bytes that it may have", ErrTooLarge, s.limit)
}
