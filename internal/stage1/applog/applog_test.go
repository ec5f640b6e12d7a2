package applog

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func clock() func() time.Time {
	at := time.Date(2026, 11, 25, 18, 0, 0, 0, time.UTC)
	return func() time.Time {
		at = at.Add(time.Millisecond)
		return at
	}
}

func newLog(t *testing.T, limits Limits) *Log {
	t.Helper()
	l, err := Create(filepath.Join(t.TempDir(), "app"), limits, clock())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// readAll returns what each stream was given, and the notes.
func readAll(t *testing.T, r *Reader) map[string]string {
	t.Helper()
	streams := map[string]string{}
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			return streams
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(record.Text) > maxText {
			t.Fatalf("a record of %d bytes", len(record.Text))
		}
		text := string(record.Text)
		if !record.Partial {
			text += "\n"
		}
		streams[record.Stream] += text
	}
}

// TestEveryByte shows that what is written in pieces comes back, whatever it is.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	binary := make([]byte, 256)
	for i := range binary {
		binary[i] = byte(i)
	}
	texts := map[string]string{
		"lines":   "one\n\n two F P x \r\nthree\n",
		"no end":  "one\ntwo",
		"binary":  string(binary) + "\n",
		"long":    strings.Repeat("x", 5*maxText) + "\nshort\n",
		"exact":   strings.Repeat("x", maxText) + "\n" + strings.Repeat("y", maxText),
		"nothing": "",
	}
	for name, text := range texts {
		for _, size := range []int{1, 7, 1 << 20} {
			l := newLog(t, DefaultLimits())
			s := l.Stream(Stdout)
			for piece := []byte(text); len(piece) > 0; piece = piece[min(size, len(piece)):] {
				if n, err := s.Write(piece[:min(size, len(piece))]); n == 0 || err != nil {
					t.Fatal(n, err)
				}
			}
			s.Close()
			r := NewReader(l.dir)
			defer r.Close()
			if got := readAll(t, r)[Stdout]; got != text {
				t.Errorf("%s in pieces of %d: %q came back as %q", name, size, text, got)
			}
		}
	}
}

// TestRotation shows that a log stays bounded, loses its oldest lines only, and
// that a reader which falls behind still gets whole lines.
func TestRotation(t *testing.T) {
	t.Parallel()
	l := newLog(t, Limits{FileBytes: 4000, Files: 3})
	s := l.Stream(Stdout)
	follower, slow := NewReader(l.dir), NewReader(l.dir)
	defer follower.Close()
	defer slow.Close()
	var followed strings.Builder
	var all strings.Builder
	for i := range 1000 {
		line := strings.Repeat(string(rune('a'+i%26)), i%100) + "\n"
		all.WriteString(line)
		io.WriteString(s, line)
		followed.WriteString(readAll(t, follower)[Stdout])
		if i == 10 {
			if _, err := slow.Next(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if followed.String() != all.String() {
		t.Error("who follows does not see everything")
	}
	for name, r := range map[string]*Reader{"late": NewReader(l.dir), "slow": slow} {
		got := readAll(t, r)[Stdout]
		// The slow one has the rest of its file, then what is still there.
		if end := got[len(got)-2000:]; !strings.HasSuffix(all.String(), end) {
			t.Errorf("%s reader: the end is not that of what was written", name)
		}
		r.Close()
	}
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Size() > 4000 {
			t.Errorf("%s: %v, %v", e.Name(), info.Size(), err)
		}
	}
	if len(entries) != 3 {
		t.Errorf("%d files", len(entries))
	}
}

// TestTorn shows that the end of a log whose writer was killed is left out.
func TestTorn(t *testing.T) {
	t.Parallel()
	l := newLog(t, DefaultLimits())
	io.WriteString(l.Stream(Stdout), "one\ntwo\n")
	path := filepath.Join(l.dir, fileName(1))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range whole {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		r := NewReader(l.dir)
		want := strings.Join([]string{"one\n", "two\n"}[:bytes.Count(whole[:cut], []byte("\n"))], "")
		if got := readAll(t, r)[Stdout]; got != want {
			t.Errorf("cut at %d: %q, want %q", cut, got, want)
		}
		r.Close()
	}
}

// TestFullDisk shows that a full disk costs output and nothing else, and that
// the log says so.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system takes root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	l, err := Create(filepath.Join(dir, "app"), DefaultLimits(), clock())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := l.Stream(Stderr)
	line := strings.Repeat("x", 999) + "\n"
	for range 200 {
		if n, err := io.WriteString(s, line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	r := NewReader(l.dir)
	kept := strings.Count(readAll(t, r)[Stderr], "\n")
	r.Close()
	if kept == 0 || kept >= 200 {
		t.Fatalf("%d lines were kept", kept)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=1m"); err != nil {
		t.Fatal(err)
	}
	io.WriteString(s, "after\n")
	r = NewReader(l.dir)
	defer r.Close()
	got := readAll(t, r)
	if !strings.HasSuffix(got[Stderr], "x\nafter\n") {
		t.Errorf("the end is %.20q", got[Stderr][len(got[Stderr])-20:])
	}
	if !strings.Contains(got[Notes], "bytes of output were lost: no space left on device") {
		t.Errorf("notes: %q", got[Notes])
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("2026-11-25T18:00:00.000000001Z stdout F hello"))
	f.Add([]byte("2026-11-25T18:00:00Z stderr P:x "))
	f.Add([]byte("x y z"))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := parse(line)
		if err != nil {
			return
		}
		again, err := parse(bytes.TrimSuffix(r.append(nil), []byte("\n")))
		if err != nil || !bytes.Equal(again.Text, r.Text) || again.Stream != r.Stream || again.Partial != r.Partial {
			t.Errorf("%q became %+v, then %+v (%v)", line, r, again, err)
		}
	})
}

// FuzzReader shows that no file makes a reader fail or loop.
func FuzzReader(f *testing.F) {
	f.Add([]byte("2026-11-25T18:00:00.000000001Z stdout F hello\nrubbish\n\n2026-11-25T18:00:00Z stderr P x\ntorn"))
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName(1)), content, 0o600); err != nil {
			t.Fatal(err)
		}
		r := NewReader(dir)
		defer r.Close()
		for n := 0; ; n++ {
			_, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil || n > bytes.Count(content, []byte("\n")) {
				t.Fatalf("record %d: %v", n, err)
			}
		}
	})
}
