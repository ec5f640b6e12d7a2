package lkvm

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"rkt/internal/errhint"
	"rkt/internal/network"
	"rkt/internal/stage1"
	"rkt/internal/stage1/supervisor"
)

// TestArguments shows that a machine has what its pod has, and that the kernel in
// it is told nothing of that.
func TestArguments(t *testing.T) {
	t.Parallel()
	spec := supervisor.Spec{CPUs: 2, MemoryBytes: 384 << 20, ID: 0x70000001, Disks: make([]stage1.AppDisk, 2)}
	alone := arguments("/lkvm", "/kernel", spec)
	if n := strings.Count(strings.Join(alone, " "), "--disk "); n != 4 {
		t.Errorf("%d disks in %q", n, alone)
	}
	for _, want := range []string{"384M", "mode=none", "1879048193", devRoot + ",ro", devApp(1) + ",ro", devScratch} {
		if !slices.Contains(alone, want) {
			t.Errorf("no %s in %q", want, alone)
		}
	}
	spec.ID, spec.Network = 0x70000002, &network.Network{Interfaces: []*network.Interface{{}, {}}}
	joined := arguments("/lkvm", "/kernel", spec)
	if slices.Contains(joined, "mode=none") || !strings.Contains(strings.Join(joined, " "), "fd=4,tapif=/tap0,") {
		t.Errorf("no tap in %q", joined)
	}
	parameters := func(args []string) string { return args[slices.Index(args, "--params")+1] }
	if parameters(alone) != parameters(joined) {
		t.Errorf("two pods differ:\n%q\n%q", parameters(alone), parameters(joined))
	}
}

// TestTooManyApps shows that a pod is refused that lkvm has no room for.
func TestTooManyApps(t *testing.T) {
	t.Parallel()
	_, err := (&Launcher{}).Launch(t.Context(), supervisor.Spec{Disks: make([]stage1.AppDisk, maxApps+1)})
	if err == nil || !strings.Contains(err.Error(), "disks of 2 apps, and this pod has 3") {
		t.Errorf("got %v", err)
	}
}

// TestStreamWaits shows that a stream can be used before its machine has
// connected.
func TestStreamWaits(t *testing.T) {
	t.Parallel()
	s := newStream()
	ours, theirs := net.Pipe()
	defer theirs.Close()
	go func() { _, _ = s.Write([]byte("hello")) }()
	s.connect(ours, nil)
	b := make([]byte, 5)
	if _, err := io.ReadFull(theirs, b); err != nil || string(b) != "hello" {
		t.Errorf("got %q, %v", b, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := theirs.Read(b); !errors.Is(err, io.EOF) {
		t.Errorf("the connection is open: %v", err)
	}
}

// TestStreamEnds shows that whoever waits for a machine learns that it will never
// connect.
func TestStreamEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*stream){
		"closed": func(s *stream) { _ = s.Close() },
		"failed": func(s *stream) { s.connect(nil, os.ErrDeadlineExceeded) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStream()
			read := make(chan error)
			go func() {
				_, err := s.Read(make([]byte, 1))
				read <- err
			}()
			end(s)
			if err := <-read; err == nil {
				t.Error("a read succeeded")
			}
			// A connection that comes too late is not kept.
			ours, theirs := net.Pipe()
			s.connect(ours, nil)
			if _, err := theirs.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("the connection is open: %v", err)
			}
		})
	}
}

// TestProgramOfTheHost shows what an image that has no lkvm makes of the host's: a
// root in which that runs. A program that every host has takes its place.
func TestProgramOfTheHost(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test changes its root: run it as root")
	}
	path := t.TempDir()
	t.Setenv("PATH", path)
	t.Chdir(t.TempDir())
	machine := t.TempDir()
	if err := os.WriteFile(filepath.Join(machine, "kernel"), []byte("kernel"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := findProgram(machine, "/usr/bin/lkvm", "/kernel")
	if err == nil || !strings.Contains(err.Error(), "none in PATH") || !strings.Contains(errhint.Of(err), "install lkvm") {
		t.Errorf("without a program: %v", err)
	}
	if err := os.Symlink("/bin/echo", filepath.Join(path, "lkvm")); err != nil {
		t.Fatal(err)
	}
	root, err := findProgram(machine, "/usr/bin/lkvm", "/kernel")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Path, cmd.Args, cmd.Dir = "/usr/bin/lkvm", []string{"lkvm", "it runs"}, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "it runs\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if b, err := os.ReadFile(filepath.Join(root, "kernel")); err != nil || string(b) != "kernel" {
		t.Errorf("the kernel is %q, %v", b, err)
	}
}
