package terminal_test

import (
	"bytes"
	"testing"

	"rkt/internal/terminal"
)

func TestEscapes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		keys  []string
		out   string
		quits int
	}{
		{"plain", []string{"ls\r"}, "ls\r", 0},
		{"quit", []string{"\x01x"}, "", 1},
		{"quit in two reads", []string{"a\x01", "xb"}, "ab", 1},
		{"literal", []string{"\x01\x01"}, "\x01", 0},
		{"literal, then x", []string{"\x01\x01x"}, "\x01x", 0},
		{"other key", []string{"\x01", "k"}, "\x01k", 0},
		{"third bracket", []string{"\x1d\x1d", "\x1d"}, "\x1d\x1d\x1d", 1},
		{"brackets with others between", []string{"\x1d\x1da\x1d\x1d"}, "\x1d\x1da\x1d\x1d", 0},
		{"upper case is another key", []string{"\x01X"}, "\x01X", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			quits := 0
			e := &terminal.Escapes{Out: &out, Quit: func() { quits++ }}
			for _, keys := range test.keys {
				if n, err := e.Write([]byte(keys)); n != len(keys) || err != nil {
					t.Fatalf("Write = %d, %v", n, err)
				}
			}
			if out.String() != test.out || quits != test.quits {
				t.Errorf("out %q, %d quits; want %q, %d", out.String(), quits, test.out, test.quits)
			}
		})
	}
}
