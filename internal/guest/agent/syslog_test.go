//go:build linux

package agent

import (
	"bytes"
	"testing"
)

func TestSyslogText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"<13>Nov 25 18:04:05 app[7]: hello": "app[7]: hello",
		"<191>Nov  5 08:04:05 x":            "x",
		"<13>no time":                       "no time",
		"plain":                             "plain",
		"<>":                                "<>",
		"":                                  "",
	} {
		if got := string(syslogText([]byte(in))); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestJournalText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"MESSAGE=hello\nPRIORITY=6\n":                                     "hello",
		"SYSLOG_IDENTIFIER=app\nMESSAGE=hello\n":                          "app: hello",
		"MESSAGE\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\nPRIORITY=6\n":     "a\nb",
		"MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xffa\nSYSLOG_IDENTIFIER=x": "",
		"MESSAGE\n\x03": "",
	} {
		if got := string(journalText([]byte(in))); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// FuzzSyslog shows that no message of an app's becomes longer, or ends the agent.
func FuzzSyslog(f *testing.F) {
	f.Add([]byte("<13>Nov 25 18:04:05 app[7]: hello"))
	f.Add([]byte("SYSLOG_IDENTIFIER=app\nMESSAGE\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, text := range [][]byte{syslogText(b), journalText(b)} {
			if len(text) > len(b) {
				t.Errorf("%d bytes became %d", len(b), len(text))
			}
		}
		if n := len(journalText(bytes.Clone(b))); n > maxDatagram && len(b) <= maxDatagram {
			t.Errorf("%d bytes", n)
		}
	})
}
