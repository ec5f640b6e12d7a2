package hostile_test

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rkt/test/hostile"
)

// TestHostile runs everything in a mount namespace of its own, with the store on
// a disk of its own, because what is a bomb depends on the room there is.
func TestHostile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "rkt"), "rkt/cmd/rkt")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// A store leaves a gibibyte of its disk for others.
	const script = `mkdir "$HOSTILE_DIR/data" && mount -t tmpfs -o size="$2" none "$HOSTILE_DIR/data" || exit 32
exec "$1" -test.run='^TestHostileHelper$' -test.v`
	cmd := exec.Command("unshare", "--mount", "sh", "-c", script, "sh", os.Args[0], fmt.Sprint(1<<30+hostile.Room))
	cmd.Env = append(os.Environ(), "HOSTILE_DIR="+dir)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 32 {
		t.Skipf("needs to mount: %s", out)
	}
	if err != nil || !strings.Contains(string(out), "PASS: TestHostileHelper") {
		t.Errorf("%v: %s", err, out)
	}
}

// host is where the vectors go.
type host struct{ dir string }

// rkt runs a command and returns what it printed and its status.
func (h host) rkt(args ...string) (string, int) {
	global := []string{"--dir=" + h.dir + "/data", "--local-config=" + h.dir + "/etc", "--system-config=" + h.dir + "/usr", "--insecure-options=image,http"}
	cmd := exec.CommandContext(context.Background(), filepath.Join(h.dir, "rkt"), append(global, args...)...)
	cmd.Dir = h.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

func TestHostileHelper(t *testing.T) {
	h := host{os.Getenv("HOSTILE_DIR")}
	if h.dir == "" {
		t.Skip("only for TestHostile")
	}
	all := hostile.All(t)
	served := make(map[string][]byte)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, there := served[r.URL.Path]
		if !there {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(data)
	}))
	defer server.Close()
	for _, v := range all {
		file := filepath.Join(h.dir, v.Name+".aci")
		if err := os.WriteFile(file, v.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		served["/"+v.Name+".aci"] = v.Data
		for way, location := range map[string]string{"file": file, "URL": server.URL + "/" + v.Name + ".aci"} {
			t.Run(v.Name+"/"+way, func(t *testing.T) { h.try(t, v, location) })
		}
	}
	t.Logf("%d vectors", len(all))
}

// try fetches a vector and looks at what comes of it.
func (h host) try(t *testing.T, v hostile.Vector, location string) {
	t.Helper()
	out, status := h.rkt("fetch", "--full", location)
	if _, err := os.Lstat("/etc/rkt-escaped"); err == nil {
		t.Fatal("the image has escaped")
	}
	if left, _ := filepath.Glob(h.dir + "/data/cas/tmp/.tmp-*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	refused := v.Refused
	if strings.HasPrefix(location, "http") {
		refused = cmp.Or(v.RefusedOnline, refused)
	}
	if refused != "" {
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if status != 254 || !strings.Contains(out, refused) || !strings.HasPrefix(lines[len(lines)-1], "fetch: ") && !strings.HasPrefix(lines[len(lines)-1], "hint: ") {
			t.Errorf("status %d, want a refusal with %q: %s", status, refused, out)
		}
		return
	}
	if status != 0 {
		t.Fatalf("status %d: %s", status, out)
	}
	id := out[strings.LastIndex(out, "sha512-"):]
	id = strings.TrimSpace(id)
	for _, verb := range []string{"extract", "render"} {
		dir := filepath.Join(h.dir, verb)
		if out, status := h.rkt("image", verb, "--rootfs-only", id, dir); status != 0 {
			t.Fatalf("%s: status %d: %s", verb, status, out)
		}
		for name, want := range v.Files {
			compare(t, dir, name, want)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if out, status := h.rkt("image", "rm", id); status != 0 {
		t.Errorf("rm: status %d: %s", status, out)
	}
}

// compare looks at one file of an unpacked image.
func compare(t *testing.T, dir, name string, want hostile.File) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	info, err := root.Lstat(name)
	if err != nil {
		t.Error(err)
		return
	}
	if want.Type == 0 {
		other, err := root.Lstat(want.Link)
		if err != nil || !os.SameFile(info, other) {
			t.Errorf("%q is not %q: %v", name, want.Link, err)
		}
		return
	}
	parent, err := root.Open(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	defer parent.Close()
	var st unix.Stat_t
	if err := unix.Fstatat(int(parent.Fd()), filepath.Base(name), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		t.Fatal(err)
	}
	kinds := map[uint32]byte{
		unix.S_IFREG: tar.TypeReg, unix.S_IFDIR: tar.TypeDir, unix.S_IFLNK: tar.TypeSymlink,
		unix.S_IFCHR: tar.TypeChar, unix.S_IFBLK: tar.TypeBlock, unix.S_IFIFO: tar.TypeFifo,
	}
	got := hostile.File{
		Type: kinds[st.Mode&unix.S_IFMT], Mode: int64(st.Mode &^ unix.S_IFMT), Owner: int(st.Uid), Link: want.Link, Content: want.Content,
		Device: [2]int64{int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))}, Xattrs: want.Xattrs, Size: want.Size,
	}
	if got.Type == tar.TypeSymlink {
		got.Mode = want.Mode
		if got.Link, err = root.Readlink(name); err != nil {
			t.Error(err)
		}
	}
	if got.Type == tar.TypeReg {
		look(t, root, name, &got, want)
	}
	if fmt.Sprintf("%q", fmt.Sprint(got)) != fmt.Sprintf("%q", fmt.Sprint(want)) {
		t.Errorf("%q is %+v, want %+v", name, got, want)
	}
}

// look fills in what is in a file.
func look(t *testing.T, root *os.Root, name string, got *hostile.File, want hostile.File) {
	t.Helper()
	f, err := root.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if want.Size > 0 {
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if got.Size = info.Size(); info.Sys() != nil {
			var st unix.Stat_t
			if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Blocks*block > 1<<20 {
				t.Errorf("%q takes %d bytes on the disk: %v", name, st.Blocks*block, err)
			}
		}
		return
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(f); err != nil {
		t.Error(err)
	}
	got.Content = b.String()
	if want.Xattrs == nil {
		return
	}
	got.Xattrs = make(map[string]string)
	for key := range want.Xattrs {
		value := make([]byte, 256)
		n, err := unix.Fgetxattr(int(f.Fd()), key, value)
		if errors.Is(err, unix.ENOTSUP) {
			got.Xattrs[key] = want.Xattrs[key] // the file system of the test has none
			continue
		}
		if err != nil {
			t.Errorf("attribute %s of %q: %v", key, name, err)
			continue
		}
		got.Xattrs[key] = string(value[:n])
	}
}

const block = 512
