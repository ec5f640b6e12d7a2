package approot_test

import (
	"debug/elf"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rkt/internal/guest/approot"
	"rkt/internal/linux"
)

// tree makes a root directory with files of the given modes and contents.
func tree(t *testing.T, files map[string]string, links map[string]string) linux.Root {
	t.Helper()
	top := t.TempDir()
	for name, content := range files {
		full := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if strings.Contains(name, "bin/") {
			mode = 0o755
		}
		if err := os.WriteFile(full, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range links {
		full := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, full); err != nil {
			t.Fatal(err)
		}
	}
	root, err := linux.OpenRoot(top)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

const passwd = "root:x:0:0:root:/root:/bin/sh\n" +
	"# comment\n\nshort:x\nweb:x:33:33::/:/bin/sh\nweb:x:34:34::/:/bin/sh\nbad:x:many:1::/:\nnone:x:4294967295:1::/:\n+\n"

func TestLookupUser(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{"etc/passwd": passwd, "etc/group": "www:x:35:web\n", "data/file": ""}, nil)
	for _, c := range []struct {
		name    string
		want    uint32
		message string
	}{
		{"0", 0, ""},
		{"4294967294", 4294967294, ""},
		{"root", 0, ""},
		{"web", 33, ""},
		{"/data/file", uint32(os.Getuid()), ""},
		{"/data/../../../data/file", uint32(os.Getuid()), ""},
		{"", 0, `invalid user ""`},
		{"-1", 0, `invalid user "-1"`},
		{"4294967295", 0, `invalid user "4294967295"`},
		{"none", 0, `invalid user "none": "4294967295" is not an id`},
		{"bad", 0, `invalid user "bad": "many" is not an id`},
		{"short", 0, `invalid user "short"`},
		{"nobody", 0, `invalid user "nobody"`},
		{"web:x", 0, `invalid user "web:x"`},
		{"/data/nosuch", 0, `invalid user "/data/nosuch": open /data/nosuch: no such file or directory`},
	} {
		got, err := approot.LookupUser(root, c.name)
		if c.message == "" && (err != nil || got != c.want) {
			t.Errorf("%q = %d, %v; want %d", c.name, got, err, c.want)
		}
		if c.message != "" && (!errors.Is(err, approot.ErrUser) || err.Error() != c.message) {
			t.Errorf("%q: %v; want %s", c.name, err, c.message)
		}
	}
	if gid, err := approot.LookupGroup(root, "www"); gid != 35 || err != nil {
		t.Errorf("group = %d, %v", gid, err)
	}
	if _, err := approot.LookupGroup(root, "web"); !errors.Is(err, approot.ErrGroup) {
		t.Errorf("group: %v", err)
	}
}

func TestLookupUserWithoutFiles(t *testing.T) {
	t.Parallel()
	root := tree(t, nil, nil)
	if id, err := approot.LookupUser(root, "root"); id != 0 || err != nil {
		t.Errorf("root = %d, %v", id, err)
	}
	if _, err := approot.LookupUser(root, "web"); !errors.Is(err, approot.ErrUser) {
		t.Errorf("web: %v", err)
	}
}

// A passwd file that is a pipe must not be waited for.
func TestLookupUserInAPipe(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{"etc/other": ""}, nil)
	if err := syscall.Mkfifo(filepath.Join(root.Dir().Name(), "etc/passwd"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := approot.LookupUser(root, "web"); !errors.Is(err, approot.ErrUser) {
		t.Errorf("web: %v", err)
	}
}

func TestLookupBinary(t *testing.T) {
	t.Parallel()
	root := tree(t,
		map[string]string{"bin/sh": "x", "usr/bin/tool": "x", "opt/bin/tool": "x", "opt/data": "", "srv/bin/own": "x"},
		map[string]string{"sbin/linked": "/usr/bin/tool", "sbin/out": "../../../../bin/sh", "sbin/dangling": "/nowhere"},
	)
	for _, c := range []struct {
		name, dir, path string
		hasPath         bool
		want, message   string
	}{
		{"tool", "", "/nosuch:/opt/bin:/usr/bin", true, "/opt/bin/tool", ""},
		{"sh", "", "", false, "/bin/sh", ""},
		{"own", "/srv/bin", "", false, "/srv/bin/own", ""},
		{"bin/own", "/srv", "/bin", true, "/srv/bin/own", ""},
		{"./own", "/srv/bin", "/bin", true, "/srv/bin/own", ""},
		{"linked", "", "/sbin", true, "/sbin/linked", ""},
		{"out", "", "/sbin", true, "/sbin/out", ""},
		{"/usr/bin/tool", "", "", true, "/usr/bin/tool", ""},
		{"/usr/bin/no", "", "", true, "", `unable to find "/usr/bin/no" in the image`},
		{"no", "", "/bin:/usr/bin", true, "", `unable to find "no" in "/bin:/usr/bin"`},
		{"no", "/work", "", false, "", `unable to find "no" in "/work:/bin:/usr/bin"`},
		{"data", "", "/opt", true, "", `unable to find "data" in "/opt"`},
		{"bin", "", "/", true, "", `unable to find "bin" in "/"`},
		{"dangling", "", "/sbin", true, "", `unable to find "dangling" in "/sbin"`},
		{"", "", "/bin", true, "", `unable to find "" in "/bin"`},
	} {
		got, err := approot.LookupBinary(root, c.name, c.dir, c.path, c.hasPath)
		if c.message == "" && (err != nil || got != c.want) {
			t.Errorf("%q = %q, %v; want %q", c.name, got, err, c.want)
		}
		if c.message != "" && (!errors.Is(err, approot.ErrBinary) || err.Error() != c.message) {
			t.Errorf("%q: %v; want %s", c.name, err, c.message)
		}
	}
}

func TestExplainExec(t *testing.T) {
	t.Parallel()
	static := make([]byte, 64) // a header that says there are no segments
	copy(static, "\x7fELF\x02\x01\x01")
	static[54] = 56
	dynamic, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	root := tree(t, map[string]string{
		"bin/static": string(static), "bin/dynamic": string(dynamic), "bin/there": "#! /bin/static -x\n",
		"bin/missing": "#!/bin/nosuch arg", "bin/garbage": "garbage", "bin/empty": "", "bin/half": string(dynamic[:100]),
	}, nil)
	for name, want := range map[string]string{
		"static":  "",
		"there":   "",
		"missing": `unable to find "/bin/nosuch", which is to interpret "/bin/missing"`,
		"dynamic": `unable to find "` + interpreterOf(t, "/bin/sh") + `", which is to interpret "/bin/dynamic"`,
		"garbage": `"/bin/garbage": neither a script nor a program of this kind of machine`,
		"empty":   `"/bin/empty": neither a script nor a program of this kind of machine`,
		"half":    `"/bin/half": neither a script nor a program of this kind of machine`,
	} {
		got := ""
		if err := approot.ExplainExec(root, "/bin/"+name); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q; want %q", name, got, want)
		}
	}
}

// interpreterOf reads a program by the standard library.
func interpreterOf(t *testing.T, name string) string {
	t.Helper()
	f, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			b, err := io.ReadAll(p.Open())
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimRight(string(b), "\x00")
		}
	}
	t.Fatalf("%s has no interpreter", name)
	return ""
}
