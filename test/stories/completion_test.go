package stories_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
)

// complete lets a real bash complete a line and prints what it offers.
const complete = `
source <("$RKT" completion bash)
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9
# As readline splits a line: at white space, = and :.
COMP_WORDS=() rest=$1
while [[ $rest =~ ^[[:space:]]*([=:]+|[^[:space:]=:]+)(.*)$ ]]; do
	COMP_WORDS+=("${BASH_REMATCH[1]}") rest=${BASH_REMATCH[2]}
done
[[ $1 != *[[:space:]=:] ]] || COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
__start_rkt 2>/dev/null
printf '%s\n' "${COMPREPLY[@]}"
`

// completesInBash shows what is offered for lines that end in the middle.
func completesInBash(t *testing.T, p programs) {
	t.Helper()
	at := newPlace(t, p)
	at.must(t, "fetch", p.images+"/app.aci")
	at.must(t, "fetch", p.images+"/second.aci")
	at.must(t, "run", p.images+"/app.aci")
	uuid, _, _ := strings.Cut(at.must(t, "list", "--full", "--no-legend"), "\t")
	options := "--dir=" + at.dir + "/data --local-config=" + at.dir + "/etc"
	for _, test := range []struct {
		line string
		want []string // all that is offered, or what is among it if it begins with an empty word
	}{
		{"rkt imag", []string{"image"}},
		{"rkt image cat", []string{"cat-manifest"}},
		{"rkt completion z", []string{"zsh"}},
		{"rkt conf", []string{"config"}},
		{"rkt list --no-", []string{"--no-legend"}},
		{"rkt list --format=json-", []string{"json-pretty"}},
		{"rkt list --format js", []string{"json", "json-pretty"}},
		{"rkt --insecure-options=tls,im", []string{"tls,image"}},
		{"rkt image list --sort=s", []string{"size"}},
		{"rkt run --stage1-", []string{"", "--stage1-name", "--stage1-path", "--stage1-url", "--stage1-hash", "--stage1-from-dir"}},
		{"rkt run --pull-policy=ne", []string{"never", "new"}},
		{"rkt run " + options + " example.com/se", []string{"example.com/second:2.0.0"}},
		{"rkt run " + options + " example.com/app:1", []string{"1.0.0"}},
		{"rkt run " + options + " example.com/app:1.0.0 --ex", []string{"--exec"}},
		{"rkt run " + options + " example.com/app:1.0.0 -- --ex", nil},
		{"rkt run " + options + " --stage1-name=example.com/s", []string{"example.com/second:2.0.0", "example.com/stage1:1.0.0"}},
		{"rkt run --dir=" + at.dir + "/none example", nil},
		{"rkt stop --dir=" + at.dir + "/none 12", nil},
		{"rkt rm " + options + " " + uuid[:4], []string{uuid}},
		{"rkt image " + options + " rm example.com/", []string{"example.com/app:1.0.0", "example.com/second:2.0.0", "example.com/stage1:1.0.0"}},
	} {
		cmd := exec.CommandContext(t.Context(), "bash", "--norc", "--noprofile", "-c", complete, "bash", test.line)
		cmd.Env = append(os.Environ(), "RKT="+p.rkt, "PATH="+filepath.Dir(p.rkt)+":"+os.Getenv("PATH"))
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", test.line, err)
		}
		var got []string
		for line := range strings.Lines(string(out)) {
			// A description may follow.
			if word, _, _ := strings.Cut(strings.TrimSpace(line), " "); word != "" {
				got = append(got, strings.ReplaceAll(word, `\,`, ","))
			}
		}
		slices.Sort(got)
		want := test.want
		if len(want) > 0 && want[0] == "" {
			want = want[1:]
			got = slices.DeleteFunc(got, func(word string) bool { return !slices.Contains(want, word) })
			slices.Sort(want)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", test.line, diff)
		}
	}
	if _, err := os.Stat(at.dir + "/none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("completing has made a directory: %v", err)
	}
}

// tabKey presses the tab key in an interactive bash.
func tabKey(t *testing.T, p programs) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "--norc", "--noprofile", "-i")
	cmd.Env = append(os.Environ(), "PS1=$ ", "TERM=dumb", "PATH="+filepath.Dir(p.rkt)+":"+os.Getenv("PATH"))
	tty, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
	for _, line := range []string{"source <(rkt completion bash); bind 'set bell-style none'", "rkt vers\t; echo the end"} {
		if _, err := fmt.Fprintf(tty, "%s\r", line); err != nil {
			t.Fatal(err)
		}
	}
	var shown strings.Builder
	for lines := bufio.NewReader(tty); ; {
		line, err := lines.ReadString('\n')
		shown.WriteString(line)
		if err != nil {
			break // the terminal is gone when bash is
		}
		// Only now: what was not read when bash ends is lost.
		if line == "the end\r\n" {
			if _, err := io.WriteString(tty, "exit\r"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("bash: %v", err)
	}
	if out := shown.String(); !strings.Contains(out, "rkt version ; echo the end") || !strings.Contains(out, "\nrkt Version: 1.2.3+test\r\n") {
		t.Errorf("the terminal shows\n%s", out)
	}
}
