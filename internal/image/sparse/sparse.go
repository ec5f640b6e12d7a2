// Package sparse writes files with holes in them.
package sparse

import (
	"bytes"
	"io"
	"os"
)

const blockSize = 4096

// File leaves holes in a new file where blocks of zeros are written, so that
// sparse files cost what they hold. It is not safe for concurrent use.
type File struct {
	f    *os.File
	pos  int64
	high int64 // nothing was written from here on
	end  int64 // how long the file is meant to be

	zeros [blockSize]byte
}

// NewFile returns a File that writes to f, which must be empty. Finish gives f
// its length at the end.
func NewFile(f *os.File) *File { return &File{f: f} }

// Write writes p at the current position.
func (s *File) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, hole := s.run(p[done:])
		if err := s.put(p[done:done+n], hole); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// run returns how many bytes of p are to be treated alike, and whether they can
// be left out. Whole blocks of zeros can, where nothing was written before.
func (s *File) run(p []byte) (n int, hole bool) {
	if s.pos < s.high {
		return int(min(int64(len(p)), s.high-s.pos)), false
	}
	n = min(blockSize-int(s.pos%blockSize), len(p))
	hole = s.isHole(p[:n])
	for n < len(p) {
		next := p[n:min(n+blockSize, len(p))]
		if s.isHole(next) != hole {
			break
		}
		n += len(next)
	}
	return n, hole
}

func (s *File) isHole(block []byte) bool { return bytes.Equal(block, s.zeros[:]) }

func (s *File) put(p []byte, hole bool) error {
	if !hole {
		if _, err := s.f.WriteAt(p, s.pos); err != nil {
			return err
		}
		s.high = max(s.high, s.pos+int64(len(p)))
	}
	s.pos += int64(len(p))
	s.end = max(s.end, s.pos)
	return nil
}

// Read reads at the current position.
func (s *File) Read(p []byte) (int, error) {
	n, err := s.f.ReadAt(p, s.pos)
	s.pos += int64(n)
	return n, err
}

// Seek sets the current position.
func (s *File) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.pos
	case io.SeekEnd:
		offset += s.end
	}
	if offset < 0 {
		return 0, os.ErrInvalid
	}
	s.pos = offset
	return offset, nil
}

// Finish gives the file its length: up to the last byte that was written, zero
// or not.
func (s *File) Finish() error { return s.f.Truncate(s.end) }
