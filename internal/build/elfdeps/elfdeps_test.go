package elfdeps

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// compile links a tiny program or library with the host's compiler, which the
// guest kernel needs anyway.
func compile(t *testing.T, out, source string, args ...string) {
	t.Helper()
	c := filepath.Join(t.TempDir(), "source.c")
	if err := os.WriteFile(c, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-nostdlib", "-o", out, c}, args...)
	if msg, err := exec.CommandContext(t.Context(), "gcc", args...).CombinedOutput(); err != nil {
		t.Fatalf("gcc %v: %v\n%s", args, err, msg)
	}
}

// TestFind links a program with a library in its run path, which needs one in a
// system directory, which in turn needs the first.
func TestFind(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("needs gcc")
	}
	dir := t.TempDir()
	near, system := filepath.Join(dir, "near"), filepath.Join(dir, "system")
	for _, d := range []string{near, system} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	deep, real, link := filepath.Join(system, "libdeep.so.1"), filepath.Join(near, "libnear.so.1.2"), filepath.Join(near, "libnear.so.1")
	compile(t, deep, "int deep(void) { return 0; }", "-shared", "-Wl,-soname,libdeep.so.1")
	compile(t, real, "int deep(void); int near(void) { return deep(); }", "-shared", "-Wl,-soname,libnear.so.1", deep)
	if err := os.Symlink("libnear.so.1.2", link); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "program")
	compile(t, program, "int near(void); void _start(void) { near(); }", "-static-libgcc", "-Wl,-rpath,$ORIGIN/near",
		"-Wl,--dynamic-linker="+deep, "-Wl,--allow-shlib-undefined", real)

	f := Finder{Dirs: []string{system}}
	got, err := f.Find(program)
	if err != nil {
		t.Fatal(err)
	}
	want := []File{{Path: link, Source: real}, {Path: deep, Source: deep}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Find(program); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "libnear.so.1") {
		t.Errorf("with a library missing: %v", err)
	}
}

func TestUsrMerged(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/lib64/ld-linux-x86-64.so.2": "/usr/lib64/ld-linux-x86-64.so.2",
		"/usr/lib/x/libc.so.6":        "/usr/lib/x/libc.so.6",
		"/library/x":                  "/library/x",
	} {
		if got := UsrMerged(in); got != want {
			t.Errorf("UsrMerged(%q) = %q, want %q", in, got, want)
		}
	}
}

// record returns one note as it is in a section.
func record(owner, content string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(owner)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(content)))
	b = binary.LittleEndian.AppendUint32(b, dlopenType)
	for _, s := range []string{owner, content} {
		b = append(b, s...)
		b = append(b, make([]byte, -len(s)&3)...)
	}
	return b
}

func TestParseDlopenNotes(t *testing.T) {
	t.Parallel()
	section := append(record("OTHER\x00", "?"),
		record(dlopenOwner, `[{"feature":"a","priority":"required","soname":["liba.so.1","liba.so.0"]}]`)...)
	got, err := parseDlopenNotes(section, binary.LittleEndian)
	if err != nil {
		t.Fatal(err)
	}
	want := []dlopenNote{{Feature: "a", Priority: "required", Soname: []string{"liba.so.1", "liba.so.0"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	for cut := 1; cut < 12; cut++ {
		if _, err := parseDlopenNotes(section[:cut], binary.LittleEndian); !errors.Is(err, errNotes) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}

func FuzzParseDlopenNotes(f *testing.F) {
	f.Add(record(dlopenOwner, `[{"feature":"a","priority":"suggested","soname":["liba.so.1"]}]`))
	f.Add(record("GNU\x00", "x"))
	f.Add(append(record(dlopenOwner, "[]"), 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		notes, err := parseDlopenNotes(b, binary.LittleEndian)
		if err != nil && notes != nil {
			t.Error("notes beside an error")
		}
	})
}
