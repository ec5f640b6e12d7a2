package supervisor

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func at(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

func TestLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxLine+10)
	tests := []struct{ name, in, want string }{
		{"one", "hello\n", "[188748.162493] etcd[4]: hello\n"},
		{"no newline at the end", "hello", "[188748.162493] etcd[4]: hello\n"},
		{"two", "a\nb\n", "[188748.162493] etcd[4]: a\n[188748.162493] etcd[4]: b\n"},
		{"empty line", "\n", "[188748.162493] etcd[4]: \n"},
		{"terminal's line end", "a\r\n", "[188748.162493] etcd[4]: a\n"},
		{"nothing", "", ""},
		{
			"longer than a line may be", long + "\n",
			"[188748.162493] etcd[4]: " + long[:maxLine] + "\n[188748.162493] etcd[4]: xxxxxxxxxx\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			p := &printer{now: at(188748*time.Second + 162493*time.Microsecond), out: newPatientWriter(&out)}
			l := p.lines("etcd", 4)
			if _, err := io.Copy(l, iotest.HalfReader(strings.NewReader(test.in))); err != nil {
				t.Fatal(err)
			}
			l.Close()
			p.out.flush(t.Context())
			if out.String() != test.want {
				t.Errorf("got %q, want %q", out.String(), test.want)
			}
		})
	}
}

func TestSecondsArePaddedToFive(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &printer{now: at(7*time.Second + time.Microsecond), out: newPatientWriter(&out)}
	p.line("a", 1, []byte("b"))
	p.out.flush(t.Context())
	if got, want := out.String(), "[    7.000001] a[1]: b\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

type brokenPipe struct{ writes int }

func (b *brokenPipe) Write([]byte) (int, error) {
	b.writes++
	return 0, errors.New("broken pipe")
}

// TestNobodyListens shows that an app's output is still read when it cannot be
// printed any more.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	out := &brokenPipe{}
	w := newPatientWriter(out)
	for range 3 * maxBehind / 5 {
		w.put([]byte("line\n"))
	}
	w.flush(t.Context())
	if out.writes != 1 {
		t.Errorf("%d writes", out.writes)
	}
}

// TestNobodyReads shows that who never reads is waited for once, and is told
// what he has missed when he goes on.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	r, to := io.Pipe()
	w := newPatientWriter(to)
	line := []byte(strings.Repeat("x", 1023) + "\n")
	begin := time.Now()
	const count = 5 * maxBehind / 1024
	for range count {
		w.put(line)
	}
	w.flush(t.Context())
	if took := time.Since(begin); took > 100*patience {
		t.Errorf("took %v", took)
	}
	seen := make(chan string, 1)
	go func() {
		var text strings.Builder
		for s := bufio.NewScanner(r); s.Scan() && s.Text() != "last"; {
			text.WriteString(s.Text() + "\n")
		}
		seen <- text.String()
	}()
	// The reader goes on: only then is there room again.
	for w.behind() {
		runtime.Gosched()
	}
	w.put([]byte("last\n"))
	text := <-seen
	left := strings.Count(text, string(line))
	want := fmt.Sprintf("[%d lines are left out here", count-left)
	if left == 0 || left == count || !strings.Contains(text, want) {
		t.Errorf("%d of %d lines and no %q in %.200q", left, count, want, text[len(text)-200:])
	}
}

// behind tells whether there is something to write.
func (w *patientWriter) behind() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.idle
}
