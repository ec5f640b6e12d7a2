package words

import (
	"strings"
	"testing"
)

func TestLastWords(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, said, want string }{
		{"nothing", "", "fallback"},
		{"last line", "one\ntwo\n\n", "two"},
		{
			"panic", "[ 1.0] Kernel panic - not syncing: VFS\nCPU: 0\n---[ end Kernel panic - not syncing ]---\n",
			"[ 1.0] Kernel panic - not syncing: VFS",
		},
		{"hostile", "\x1b[2J\x1b]0;owned\x07text\x00\n", "[2J]0;ownedtext"},
		{"endless", strings.Repeat("y", 2*maxTail), strings.Repeat("y", 300) + "…"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tail := &Tail{}
			if _, err := tail.Write([]byte(test.said)); err != nil {
				t.Fatal(err)
			}
			if got := tail.Last("fallback"); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
