package supervisor

import (
	"bytes"
	"errors"
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
			p := &printer{now: at(188748*time.Second + 162493*time.Microsecond), out: &out}
			p.copyLines("etcd", 4, iotest.HalfReader(strings.NewReader(test.in)))
			if out.String() != test.want {
				t.Errorf("got %q, want %q", out.String(), test.want)
			}
		})
	}
}

func TestSecondsArePaddedToFive(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &printer{now: at(7*time.Second + time.Microsecond), out: &out}
	p.line("a", 1, []byte("b"))
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
	in := strings.NewReader(strings.Repeat("line\n", 1000))
	p := &printer{now: at(0), out: out}
	p.copyLines("a", 1, in)
	if in.Len() != 0 || out.writes != 1 {
		t.Errorf("%d bytes unread, %d writes", in.Len(), out.writes)
	}
}
