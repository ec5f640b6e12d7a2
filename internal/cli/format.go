package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/pflag"
)

// fullTime is how times are written where every digit counts.
const fullTime = "2006-01-02 15:04:05.999 -0700 MST"

// format is the flag that chooses JSON instead of text.
type format string

const (
	formatText       format = ""
	formatJSON       format = "json"
	formatJSONPretty format = "json-pretty"
)

func (f *format) add(flags *pflag.FlagSet) {
	flags.Var(f, "format", "print json or json-pretty instead of text")
}

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "string" }

func (f *format) Set(value string) error {
	switch format(value) {
	case formatJSON, formatJSONPretty, formatText:
		*f = format(value)
		return nil
	}
	return fmt.Errorf("Invalid format option: %s", value) //nolint:staticcheck // scripts know this text
}

// writeJSON prints a value in the chosen form of JSON.
func (f *format) writeJSON(w io.Writer, value any) error {
	return writeJSON(w, value, *f == formatJSONPretty)
}

// writeJSON prints a value as one line of JSON, or indented by tabs.
func writeJSON(w io.Writer, value any, pretty bool) error {
	text, err := json.Marshal(value)
	if pretty && err == nil {
		text, err = json.MarshalIndent(value, "", "\t")
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}

// formatTime writes a time in full or as the time that has passed since.
func formatTime(at, now time.Time, full bool) string {
	switch {
	case at.IsZero():
		return ""
	case full:
		return at.Local().Format(fullTime)
	}
	return timeAgo(now.Sub(at))
}

// timeAgo writes a duration in the largest unit that it has one of.
func timeAgo(d time.Duration) string {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{
		{365 * day, "year"},
		{30 * day, "month"},
		{7 * day, "week"},
		{day, "day"},
		{time.Hour, "hour"},
		{time.Minute, "minute"},
		{time.Second, "second"},
	} {
		switch n := int(d / unit.length); {
		case n == 1:
			return "1 " + unit.name + " ago"
		case n > 1:
			return strconv.Itoa(n) + " " + unit.name + "s ago"
		}
	}
	return "now"
}

// writeManifest prints JSON that was written before, compact or indented by
// tabs.
func writeManifest(w io.Writer, text []byte, pretty bool) error {
	var b bytes.Buffer
	err := json.Compact(&b, text)
	if pretty {
		b.Reset()
		err = json.Indent(&b, text, "", "\t")
	}
	if err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err = b.WriteTo(w)
	return err
}

// binarySize writes a number of bytes in binary units, such as "2.5MiB".
func binarySize(bytes int64) string {
	return scale(bytes, 1024, []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"})
}

// decimalSize writes a number of bytes in decimal units, such as "3.79 MB".
func decimalSize(bytes int64) string {
	return scale(bytes, 1000, []string{" B", " kB", " MB", " GB", " TB", " PB"})
}

// scale writes n with three digits or the whole part in the largest unit that
// it has one of.
func scale(n int64, base float64, units []string) string {
	size, i := float64(n), 0
	for size >= base && i < len(units)-1 {
		size, i = size/base, i+1
	}
	if size >= 100 {
		return strconv.FormatFloat(size, 'f', 0, 64) + units[i]
	}
	return strconv.FormatFloat(size, 'g', 3, 64) + units[i]
}
