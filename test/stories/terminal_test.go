package stories_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
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
		out, _ := atTerminal(t, at.command(t, "trust", "--root", p.images+"/key"), pty.Winsize{}, answers)
		if !strings.Contains(out, want) {
			t.Errorf("answers %q: no %q in\n%s", answers, want, out)
		}
		if asked := strings.Contains(out, "Please enter 'yes' or 'no'"); asked != strings.HasPrefix(answers, "maybe") {
			t.Errorf("answers %q: asked again: %v\n%s", answers, asked, out)
		}
	}
}

// lead runs a command as the leader of a terminal's session would, marks the end
// of what was shown, and stays until somebody has read that: when the leader ends
// the kernel hangs up, and throws away what was written and not yet read.
const lead = `trap : INT; "$@"; status=$?; echo "` + endMark + `"; read -r _ <&3; exit $status`

const endMark = "<the command has ended>"

// atTerminal runs a command at a terminal of its own, types the answers when it
// is asked, and returns all that the terminal has shown and the exit status.
func atTerminal(t *testing.T, cmd *exec.Cmd, size pty.Winsize, answers string) (string, int) {
	t.Helper()
	stay, leave, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer leave.Close()
	cmd.Args = append([]string{"sh", "-c", lead, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	cmd.ExtraFiles = []*os.File{stay}
	tty, err := pty.StartWithSize(cmd, &size)
	stay.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
	shown := converse(t, tty, answers)
	leave.Close()
	_ = cmd.Wait()
	return shown, cmd.ProcessState.ExitCode()
}

// converse reads what a terminal shows up to the mark of the end, and types the
// answers when there is a question for the first time.
func converse(t *testing.T, tty io.ReadWriter, answers string) string {
	t.Helper()
	var shown strings.Builder
	for lines, asked := bufio.NewReader(tty), false; ; {
		line, err := lines.ReadString('\n')
		if before, _, end := strings.Cut(line, endMark); end || err != nil {
			shown.WriteString(before)
			return shown.String()
		}
		shown.WriteString(strings.ReplaceAll(line, "\r\n", "\n"))
		if !asked && strings.Contains(line, "(yes/no)?") {
			asked = true
			if _, err := io.WriteString(tty, answers); err != nil {
				t.Fatal(err)
			}
		}
	}
}
