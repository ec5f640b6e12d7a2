// Package words keeps what a machine or its launcher says, to quote it when it
// ends unexpectedly.
package words

import (
	"bytes"
	"strings"
	"sync"
	"unicode"
)

// maxTail is how much is kept of what a machine says, in bytes.
const maxTail = 16 << 10

// Tail keeps the end of what is written to it.
type Tail struct {
	mu   sync.Mutex
	kept []byte
}

// Write never fails.
func (t *Tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if excess := len(t.kept) - maxTail; excess > 0 {
		t.kept = append([]byte(nil), t.kept[excess:]...)
	}
	return len(b), nil
}

// Last returns the line that says most about the end: the kernel's panic, else
// the last one that isn't empty, else fallback. A guest wrote it, so what
// can't be printed is taken out.
func (t *Tail) Last(fallback string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	best := fallback
	for line := range bytes.Lines(t.kept) {
		text := printable(string(line))
		if text == "" || strings.Contains(text, "end Kernel panic") {
			continue
		}
		best = text
		if strings.Contains(text, "Kernel panic") {
			break
		}
	}
	return best
}

func printable(s string) string {
	const longest = 300
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s))
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return s
}
