package stories_test

import (
	"bufio"
	"io"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// reviewKey lets a person at a terminal decide about a key.
func reviewKey(t *testing.T, p programs) {
	t.Helper()
	for answers, want := range map[string]string{
		"maybe\nyes\n": "after fingerprint review.",
		"no\n":         "not trusting",
		"\x03":         "error reviewing key: interrupted",
	} {
		at := place{programs: p, dir: t.TempDir()}
		out := at.atTerminal(t, answers, "trust", "--root", p.images+"/key")
		if !strings.Contains(out, want) {
			t.Errorf("answers %q: no %q in\n%s", answers, want, out)
		}
		if asked := strings.Contains(out, "Please enter 'yes' or 'no'"); asked != strings.HasPrefix(answers, "maybe") {
			t.Errorf("answers %q: asked again: %v\n%s", answers, asked, out)
		}
	}
}

// atTerminal runs rkt at a terminal of its own, types the answers when it is
// asked, and returns all that the terminal has shown.
func (p place) atTerminal(t *testing.T, answers string, args ...string) string {
	t.Helper()
	cmd := p.command(t, args...)
	tty, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	var shown strings.Builder
	lines := bufio.NewReader(tty)
	for answered := false; ; {
		line, err := lines.ReadString('\n')
		shown.WriteString(line)
		if err != nil {
			break // the terminal is gone when rkt is
		}
		if !answered && strings.Contains(line, "(yes/no)?") {
			answered = true
			if _, err := io.WriteString(tty, answers); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait()
	return shown.String()
}
