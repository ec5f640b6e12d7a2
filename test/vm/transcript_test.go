package vm

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// transcript keeps what a program says and lets others wait for words.
type transcript struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{} // closed and replaced at each change
	ended   bool
}

func newTranscript() *transcript { return &transcript{changed: make(chan struct{})} }

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.Write(b)
	t.announce()
	return len(b), nil
}

// end says that nothing more will come.
func (t *transcript) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	t.announce()
}

func (t *transcript) announce() {
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

func (t *transcript) state() (string, bool, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String(), t.ended, t.changed
}

// await returns when the text contains words. It fails the test if they never
// come.
func (t *transcript) await(tb testing.TB, words string) {
	tb.Helper()
	timeout := time.After(patience)
	for {
		text, ended, changed := t.state()
		if strings.Contains(text, words) {
			return
		}
		if ended {
			tb.Fatalf("it ended without saying %q:\n%s", words, text)
		}
		select {
		case <-changed:
		case <-timeout:
			tb.Fatalf("it does not say %q:\n%s", words, text)
		}
	}
}
