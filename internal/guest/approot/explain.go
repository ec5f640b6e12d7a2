package approot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"rkt/internal/linux"
)

// ExplainExec returns why a program that is in the root can't be executed, as
// far as the file shows that: its interpreter may be missing. It returns nil if
// nothing is to be seen.
func ExplainExec(root linux.Root, program string) error {
	f, err := openRegular(root, program)
	if err != nil {
		return err
	}
	defer f.Close()
	name, err := interpreter(f)
	if err != nil {
		return fmt.Errorf("%q: %w", program, err)
	}
	if name == "" || isProgram(root, name) {
		return nil
	}
	return fmt.Errorf("%w %q, which is to interpret %q", ErrBinary, name, program)
}

// interpreter returns the program that a script or a dynamic program names to
// run it, or "" for a static one.
func interpreter(f io.ReaderAt) (string, error) {
	head := make([]byte, maxScriptLine)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	head = head[:n]
	switch {
	case bytes.HasPrefix(head, []byte("#!")):
		line, _, _ := bytes.Cut(head[2:], []byte("\n"))
		name, _, _ := strings.Cut(strings.Trim(string(line), " \t"), " ")
		return name, nil
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return elfInterpreter(f, head)
	}
	return "", ErrNotProgram
}

const (
	// maxScriptLine is how much of a script's first line the kernel reads.
	maxScriptLine = 256
	// maxInterpreter and maxSegments bound what is believed of a program.
	maxInterpreter = 4096
	maxSegments    = 128
)

// elfLayout is where things are in a program's headers, 32 or 64 bits wide.
type elfLayout struct {
	headerSize              int
	segments, size, count   int // of the table of segments: offset, entry size, entries
	segmentSize             int
	segmentFrom, segmentLen int
	wide                    bool
}

// elfInterpreter finds the segment of a program that names its interpreter.
// Source: System V ABI, "Object Files" and "Program Header".
func elfInterpreter(f io.ReaderAt, head []byte) (string, error) {
	const class, class64, littleEndian, segmentInterpreter = 4, 2, 1, 3
	layout := elfLayout{headerSize: 52, segments: 28, size: 42, count: 44, segmentSize: 32, segmentFrom: 4, segmentLen: 16}
	if len(head) > class+1 && head[class] == class64 {
		layout = elfLayout{
			headerSize: 64, segments: 32, size: 54, count: 56,
			segmentSize: 56, segmentFrom: 8, segmentLen: 32, wide: true,
		}
	}
	if len(head) < layout.headerSize || head[class+1] != littleEndian {
		return "", ErrNotProgram
	}
	table := layout.word(head, layout.segments)
	size := int64(binary.LittleEndian.Uint16(head[layout.size:]))
	count := int64(binary.LittleEndian.Uint16(head[layout.count:]))
	if size < int64(layout.segmentSize) || count > maxSegments || table < 0 {
		return "", ErrNotProgram
	}
	segment := make([]byte, layout.segmentSize)
	for i := range count {
		if _, err := f.ReadAt(segment, table+i*size); err != nil {
			return "", ErrNotProgram
		}
		if binary.LittleEndian.Uint32(segment) != segmentInterpreter {
			continue
		}
		from, length := layout.word(segment, layout.segmentFrom), layout.word(segment, layout.segmentLen)
		if from < 0 || length <= 0 || length > maxInterpreter {
			return "", ErrNotProgram
		}
		name := make([]byte, length)
		if _, err := f.ReadAt(name, from); err != nil {
			return "", ErrNotProgram
		}
		return string(bytes.TrimRight(name, "\x00")), nil
	}
	return "", nil
}

// word reads a number as wide as the program's addresses. What is too large to
// be an offset comes out negative.
func (l elfLayout) word(b []byte, at int) int64 {
	if l.wide {
		return int64(binary.LittleEndian.Uint64(b[at:]))
	}
	return int64(binary.LittleEndian.Uint32(b[at:]))
}
