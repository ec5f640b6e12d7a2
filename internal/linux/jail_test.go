package linux_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rkt/internal/linux"
)

// confinedProgram prints what it can see of the world.
const confinedProgram = `
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

func main() {
	names, _ := filepath.Glob("/*")
	fmt.Println("root", names)
	fmt.Println("ids", os.Getuid(), os.Getgid(), os.Getpid())
	groups, _ := os.Getgroups()
	fmt.Println("groups", len(groups))
	fmt.Println("write", os.WriteFile("/x", nil, 0o600) != nil)
	var st syscall.Stat_t
	fmt.Println("above", fstatAbove(&st) != nil)
	fmt.Println("fd4", syscall.Fstat(4, &st) != nil)
	fmt.Println("environment", os.Environ())
	fmt.Println("home", os.WriteFile("/home/x", nil, 0o600))
	for _, device := range []string{"null", "loop", "read-only"} {
		if err := syscall.Stat("/dev/"+device, &st); err == nil {
			fmt.Printf("%s %o\n", device, st.Mode)
		}
	}
}

func fstatAbove(st *syscall.Stat_t) error {
	fd, err := syscall.Openat(3, "..", syscall.O_RDONLY, 0)
	if err == nil {
		syscall.Close(fd)
	}
	return err
}
`

// TestMain lets the test program be what jailed programs begin as.
func TestMain(m *testing.M) {
	if linux.IsInit() {
		fmt.Fprintln(os.Stderr, linux.Init())
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

// newJailRoot returns a directory that can become a jail's root.
func newJailRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(root, "init"), nil, 0o600), os.Chmod(root, 0o755)); err != nil {
		t.Fatal(err)
	}
	return root
}

func buildStatic(t *testing.T, dir, source string) {
	t.Helper()
	src := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(src, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "program"), src)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
}

// TestJail shows that a jailed process sees its root and nothing else, and
// that the descriptor of a directory which holds a pod's lock is no way out.
func TestJail(t *testing.T) {
	t.Parallel()
	needRoot(t)
	root := newJailRoot(t)
	buildStatic(t, root, confinedProgram)
	pod := filepath.Join(t.TempDir(), "pod")
	if err := os.Mkdir(pod, 0o750); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Open(pod)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()

	got := runJailed(t, linux.Jail{Root: root, ID: 0x70000123}, lock)
	want := "root [/init /program]\nids 1879048483 1879048483 1\ngroups 0\nwrite true\nabove true\nfd4 true\nenvironment []\n" +
		"home open /home/x: no such file or directory\n"
	if got != want {
		t.Errorf("the jailed process says\n%s\nwant\n%s", got, want)
	}
}

// TestJailsOwnPlaces shows what a jail may have of its own: devices, and a place
// to write to.
func TestJailsOwnPlaces(t *testing.T) {
	t.Parallel()
	needRoot(t)
	root := newJailRoot(t)
	buildStatic(t, root, confinedProgram)
	if err := errors.Join(os.Mkdir(filepath.Join(root, "dev"), 0o755), os.Mkdir(filepath.Join(root, "home"), 0o755)); err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	got := runJailed(t, linux.Jail{Root: root, ID: 0x70000123, Home: "/home", Devices: []linux.Device{
		{Name: "null", Major: 1, Minor: 3}, {Name: "loop", Major: 7, Block: true}, {Name: "read-only", Major: 7, Block: true, ReadOnly: true},
	}}, null)
	_, got, _ = strings.Cut(got, "environment []\n")
	if want := "home <nil>\nnull 20600\nloop 60600\nread-only 60400\n"; got != want {
		t.Errorf("the jailed process says\n%s\nwant\n%s", got, want)
	}
	if entries, err := os.ReadDir(filepath.Join(root, "home")); err != nil || len(entries) != 0 {
		t.Errorf("it wrote to the host: %v %v", entries, err)
	}
}

func runJailed(t *testing.T, jail linux.Jail, lock *os.File) string {
	t.Helper()
	warden, err := linux.NewWarden(jail)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := warden.Start([]string{"/program"}, nil, []*os.File{w, w, w, lock})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := io.Copy(&out, r); err != nil {
		t.Fatal(err)
	}
	if state, err := p.Wait(); err != nil || !state.Success() {
		t.Fatalf("wait: %v %v", state, err)
	}
	return out.String()
}

func TestJailLeavesTheHostAlone(t *testing.T) {
	t.Parallel()
	needRoot(t)
	root := newJailRoot(t)
	if err := os.Mkdir(filepath.Join(root, "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := linux.NewWarden(linux.Jail{Root: root, ID: 1, Devices: []linux.Device{{Name: "null", Major: 1, Minor: 3}}}); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(after), root) != strings.Count(string(before), root) {
		t.Errorf("the host's mounts changed:\n%s", after)
	}
	if entries, err := os.ReadDir(filepath.Join(root, "dev")); err != nil || len(entries) != 0 {
		t.Errorf("device nodes on the host: %v %v", entries, err)
	}
}
