package applog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits bound an app's log.
type Limits struct {
	FileBytes int64 // of one file
	Files     int   // how many are kept; at least 2
}

// DefaultLimits are those of every app: at most 50 MB.
func DefaultLimits() Limits { return Limits{FileBytes: 10 << 20, Files: 5} }

const (
	fileSuffix = ".log"
	dirMode    = 0o750
	fileMode   = 0o640
)

func fileName(number uint64) string { return fmt.Sprintf("%08d%s", number, fileSuffix) }

// files returns the numbers of a log's files, lowest first.
func files(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		text, ok := strings.CutSuffix(e.Name(), fileSuffix)
		if n, err := strconv.ParseUint(text, 10, 64); ok && err == nil && e.Name() == fileName(n) {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil // ReadDir sorts, and all names are equally long
}

// Log is the log of one app, being written. Its methods may be called at the
// same time. Writing never fails: what can't be kept is counted, and noted in
// the log as soon as there is room again.
type Log struct {
	dir    string
	limits Limits
	now    func() time.Time

	mu     sync.Mutex
	file   *os.File
	number uint64
	size   int64 // of the whole records in file
	lost   int64 // bytes of text since the last record that was kept
	why    error
}

// Create starts a log in a directory, which is made if it is missing. What is
// there already stays and counts.
func Create(dir string, limits Limits, now func() time.Time) (*Log, error) {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, err
	}
	numbers, err := files(dir)
	if err != nil {
		return nil, err
	}
	l := &Log{dir: dir, limits: limits, now: now}
	if len(numbers) > 0 {
		l.number = numbers[len(numbers)-1]
	}
	return l, l.next()
}

// next goes on in a new file, after removing the oldest if there are too many:
// first that, because it may be what makes room.
func (l *Log) next() error {
	numbers, err := files(l.dir)
	if err != nil {
		return err
	}
	for len(numbers) >= l.limits.Files {
		if err := os.Remove(filepath.Join(l.dir, fileName(numbers[0]))); err != nil {
			return err
		}
		numbers = numbers[1:]
	}
	f, err := os.OpenFile(filepath.Join(l.dir, fileName(l.number+1)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	if l.file != nil {
		_ = l.file.Close() // nothing is buffered
	}
	l.file, l.number, l.size = f, l.number+1, 0
	return nil
}

// keep writes whole records with so many bytes of text.
func (l *Log) keep(records []byte, text int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost > 0 {
		note := Record{Time: l.now(), Stream: Notes, Text: fmt.Appendf(nil, "%d bytes of output were lost: %v", l.lost, l.why)}
		records = append(note.append(nil), records...)
	}
	if err := l.write(records); err != nil {
		l.lost, l.why = l.lost+int64(text), cause(err)
		return
	}
	l.lost, l.why = 0, nil
}

// cause leaves out which file of the pod it was.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// write appends records to the file, all or nothing.
func (l *Log) write(records []byte) error {
	if l.file == nil {
		return os.ErrClosed
	}
	if l.size > 0 && l.size+int64(len(records)) > l.limits.FileBytes {
		if err := l.next(); err != nil {
			return err
		}
	}
	if _, err := l.file.WriteAt(records, l.size); err != nil {
		// A torn record would spoil the one after it.
		return errors.Join(err, l.file.Truncate(l.size))
	}
	l.size += int64(len(records))
	return nil
}

// Close ends the log. Its streams are to be closed before.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// Stream returns a writer that makes records of what it is given. It is for one
// goroutine. Its Write never fails; Close keeps a last line without a newline.
func (l *Log) Stream(name string) *Stream { return &Stream{log: l, name: name} }

// Stream is one output of an app.
type Stream struct {
	log     *Log
	name    string
	pending []byte // the beginning of a line, at most maxText
}

// Write keeps complete lines, and the others once they are complete or long.
func (s *Stream) Write(b []byte) (int, error) {
	written := len(b)
	now := s.log.now()
	var records []byte
	text := 0
	add := func(piece []byte, partial bool) {
		records = Record{Time: now, Stream: s.name, Partial: partial, Text: piece}.append(records)
		text += len(piece)
	}
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		room := maxText - len(s.pending)
		switch {
		case end >= 0 && end <= room:
			s.pending = append(s.pending, b[:end]...)
			add(s.pending, false)
			b = b[end+1:]
		case len(b) >= room:
			s.pending = append(s.pending, b[:room]...)
			add(s.pending, true)
			b = b[room:]
		default:
			s.pending = append(s.pending, b...)
			b = nil
			continue
		}
		s.pending = s.pending[:0]
	}
	if len(records) > 0 {
		s.log.keep(records, text)
	}
	return written, nil
}

// Close keeps what is left.
func (s *Stream) Close() error {
	if len(s.pending) > 0 {
		rest := Record{Time: s.log.now(), Stream: s.name, Partial: true, Text: s.pending}
		s.log.keep(rest.append(nil), len(s.pending))
		s.pending = nil
	}
	return nil
}
