// Package applog keeps what the apps of a pod write: a directory of numbered
// files for each app, of which the oldest are removed so that the whole is
// bounded.
//
// The files have the format of the Kubernetes container runtime interface, a
// record a line: time, stream, tag and text, with a space between them. The
// tag is F for a whole line and P for a part of one, whose rest is in the next
// record of the same stream. So a program can get back every byte: the text of
// each record, and a newline after those with F.
//
// A record is written at once, so whoever is killed, only the last one can be
// torn; readers leave out what has no newline yet. docs/logs.md is the
// description for users.
package applog

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// Streams of an app. Readers must expect others.
const (
	Stdout = "stdout"
	Stderr = "stderr"
	// Syslog has what the app sends to /dev/log or the journal's socket.
	Syslog = "syslog"
	// Notes are rkt's own remarks, such as what a full disk has cost.
	Notes = "rkt"
)

const (
	// maxText is the most bytes of text in one record. A longer line is several.
	maxText = 16 << 10
	// maxRecord is the longest record that is believed, beyond what any writer
	// of this format makes.
	maxRecord = 64 << 10
	// timeLayout is RFC 3339 with all nanoseconds, always in UTC.
	timeLayout = "2006-01-02T15:04:05.000000000Z07:00"
)

// Record is one line, or a part of one.
type Record struct {
	Time    time.Time
	Stream  string
	Partial bool // the line goes on in the next record of the stream
	Text    []byte
}

// errFormat means that a line is no record.
var errFormat = errors.New("not a log record")

// append adds the record to b as it is in a file.
func (r Record) append(b []byte) []byte {
	tag := "F"
	if r.Partial {
		tag = "P"
	}
	b = r.Time.UTC().AppendFormat(b, timeLayout)
	b = fmt.Appendf(b, " %s %s ", r.Stream, tag)
	b = append(b, r.Text...)
	return append(b, '\n')
}

// parse reads a line without its newline. The text is part of the line.
func parse(line []byte) (Record, error) {
	fields := bytes.SplitN(line, []byte(" "), 4)
	if len(fields) < 4 || len(fields[1]) == 0 {
		return Record{}, errFormat
	}
	at, err := time.Parse(time.RFC3339Nano, string(fields[0]))
	if err != nil {
		return Record{}, errFormat
	}
	r := Record{Time: at, Stream: string(fields[1]), Text: fields[3]}
	// More tags may follow after colons, says the format's source.
	switch tag, _, _ := bytes.Cut(fields[2], []byte(":")); string(tag) {
	case "F":
	case "P":
		r.Partial = true
	default:
		return Record{}, errFormat
	}
	return r, nil
}
