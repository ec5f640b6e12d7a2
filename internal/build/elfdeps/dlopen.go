package elfdeps

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// The notes in which a program lists libraries that it opens at run time, as
// specified by systemd ("ELF dlopen metadata").
const (
	dlopenSection = ".note.dlopen"
	dlopenOwner   = "FDO\x00"
	dlopenType    = 0x407c0c0a
	// maxNotes bounds the section: real ones have a few kilobytes.
	maxNotes = 1 << 20
)

// Values of a note's priority; "required" is everything else.
const (
	priorityRecommended = "recommended"
	prioritySuggested   = "suggested"
)

// errNotes is returned for a section that does not follow the format.
var errNotes = errors.New("malformed notes")

// dlopenNote is one entry: any of the libraries provides the feature.
type dlopenNote struct {
	Feature  string   `json:"feature"`
	Priority string   `json:"priority"`
	Soname   []string `json:"soname"`
}

// readDlopenNotes returns the notes of a file that has some.
func readDlopenNotes(f *elf.File) ([]dlopenNote, error) {
	s := f.Section(dlopenSection)
	if s == nil {
		return nil, nil
	}
	if s.Size > maxNotes {
		return nil, fmt.Errorf("%w: %d bytes", errNotes, s.Size)
	}
	data, err := s.Data()
	if err != nil {
		return nil, err
	}
	return parseDlopenNotes(data, f.ByteOrder)
}

// parseDlopenNotes reads a section: records of name size, content size and
// type, then name and content, each padded to four bytes.
func parseDlopenNotes(b []byte, order binary.ByteOrder) ([]dlopenNote, error) {
	var notes []dlopenNote
	for len(b) > 0 {
		if len(b) < 12 {
			return nil, fmt.Errorf("%w: record header is cut off", errNotes)
		}
		nameSize, size, kind := order.Uint32(b), order.Uint32(b[4:]), order.Uint32(b[8:])
		name, rest, ok := cutPadded(b[12:], nameSize)
		if !ok {
			return nil, fmt.Errorf("%w: name is cut off", errNotes)
		}
		content, rest, ok := cutPadded(rest, size)
		if !ok {
			return nil, fmt.Errorf("%w: content is cut off", errNotes)
		}
		b = rest
		if kind != dlopenType || string(name) != dlopenOwner {
			continue
		}
		var list []dlopenNote
		if err := json.Unmarshal(bytes.TrimRight(content, "\x00"), &list); err != nil {
			return nil, fmt.Errorf("%w: %w", errNotes, err)
		}
		notes = append(notes, list...)
	}
	return notes, nil
}

// cutPadded splits off size bytes and the padding after them, which may be
// missing at the end.
func cutPadded(b []byte, size uint32) (head, rest []byte, ok bool) {
	if uint64(size) > uint64(len(b)) {
		return nil, nil, false
	}
	padded := (uint64(size) + 3) &^ 3
	return b[:size], b[min(padded, uint64(len(b))):], true
}
