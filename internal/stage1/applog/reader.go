package applog

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// Reader reads an app's log from its oldest record on, also while it is being
// written.
type Reader struct {
	dir    string
	number uint64 // of the file; 0 before the first
	file   *os.File
	in     *bufio.Reader
	line   []byte // what there is of the line that is being read
	done   bool   // that is all of it, and it was returned
	skip   bool   // the line is too long to be a record
}

// NewReader returns a reader of the log in a directory, which may not exist
// yet.
func NewReader(dir string) *Reader { return &Reader{dir: dir} }

// Close lets go of the file.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// Next returns the next record, or io.EOF if there is none yet: asking again
// later goes on from there. The record's text is valid until the next call.
// What is no record is left out.
func (r *Reader) Next() (Record, error) {
	for {
		line, err := r.nextLine()
		if errors.Is(err, io.EOF) {
			more, err := r.advance()
			if err != nil {
				return Record{}, err
			}
			if !more {
				return Record{}, io.EOF
			}
			continue
		}
		if err != nil {
			return Record{}, err
		}
		if record, err := parse(line); err == nil {
			return record, nil
		}
	}
}

// nextLine returns a line of the current file without its newline.
func (r *Reader) nextLine() ([]byte, error) {
	if r.file == nil {
		return nil, io.EOF
	}
	if r.done {
		r.line, r.done = r.line[:0], false
	}
	for {
		piece, err := r.in.ReadSlice('\n')
		if !r.skip {
			r.line = append(r.line, piece...)
		}
		r.skip = r.skip || len(r.line) > maxRecord
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return nil, err
		case r.skip:
			r.skip, r.line = false, r.line[:0]
		default:
			r.done = true
			return r.line[:len(r.line)-1], nil
		}
	}
}

// advance goes on to the next file, if there is one and the current one has
// nothing more: it had its last record before the next one was made.
func (r *Reader) advance() (bool, error) {
	numbers, err := files(r.dir)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, n := range numbers {
		if n <= r.number {
			continue
		}
		if r.file != nil {
			if _, err := r.in.Peek(1); err == nil {
				return true, nil
			}
		}
		return r.open(n)
	}
	return false, nil
}

func (r *Reader) open(number uint64) (bool, error) {
	f, err := os.Open(filepath.Join(r.dir, fileName(number)))
	if errors.Is(err, os.ErrNotExist) {
		return true, nil // removed meanwhile, so there is a later one
	}
	if err != nil {
		return false, err
	}
	if r.file != nil {
		_ = r.file.Close()
	}
	r.number, r.file, r.in = number, f, bufio.NewReaderSize(f, maxText)
	r.line, r.done, r.skip = nil, false, false
	return true, nil
}
