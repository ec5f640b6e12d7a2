package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// host is a place where rkt runs: data and configuration of its own.
type host struct {
	*testing.T
	build *build
	dir   string          // everything below
	env   []string        // in addition to the few variables that every rkt gets
	pods  []*pod          // that were started
	seen  map[string]bool // UUIDs of pods that were here
	// unmount takes away what the data directory is on, nil if that is nothing.
	unmount func()
}

// newHost returns a host that has the template's images and keys.
func newHost(t *testing.T) *host {
	t.Helper()
	return newHostWith(t, &shared.product)
}

// newHostWith is newHost with another build of rkt.
func newHostWith(t *testing.T, b *build) *host {
	t.Helper()
	b.needTemplate(t)
	h := newEmptyHost(t, b)
	// Nothing in a store is ever changed in place, so hosts can share files.
	copyTree(t, "-al", b.data(), h.data())
	copyTree(t, "-a", b.config(), h.config())
	return h
}

// newEmptyHost returns a host without images and keys.
func newEmptyHost(t *testing.T, b *build) *host {
	t.Helper()
	dir, err := os.MkdirTemp(shared.dir, "")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{T: t, dir: dir, build: b, seen: make(map[string]bool)}
	t.Cleanup(h.clear)
	t.Cleanup(h.close)
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(h.tmp(), 0o777)); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *host) data() string   { return filepath.Join(h.dir, "d") }
func (h *host) config() string { return filepath.Join(h.dir, "c") }
func (h *host) tmp() string    { return filepath.Join(h.dir, "t") }

// path returns the name of a file of the test itself.
func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

// write makes a file of the test itself and returns its name.
func (h *host) write(name string, content []byte) string {
	h.Helper()
	if err := os.WriteFile(h.path(name), content, 0o644); err != nil {
		h.Fatal(err)
	}
	return h.path(name)
}

// result is how a program ended.
type result struct {
	Stdout, Stderr string
	Status         int // -1 if a signal killed it
	Signal         syscall.Signal
	Took           time.Duration
}

// command returns an rkt that will run on this host.
func (h *host) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	h.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, filepath.Join(h.build.bin, "rkt"), append(h.global(), args...)...)
	cmd.Dir = h.dir
	cmd.Env = append([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + h.tmp(), "TMPDIR=" + h.tmp(), "LANG=C.UTF-8", "TERM=xterm",
	}, h.env...)
	// Should anything of a pod outlive rkt with its output open, that shows as
	// an error and not as a test that never ends.
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// global returns the options of every command.
func (h *host) global() []string {
	return []string{"--dir=" + h.data(), "--local-config=" + h.config(), "--system-config=" + h.path("s")}
}

// rkt runs a command to its end.
func (h *host) rkt(args ...string) result {
	h.Helper()
	var out, errs bytes.Buffer
	cmd := h.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	begin := time.Now()
	err := cmd.Run()
	r := ended(h.T, cmd, err)
	r.Stdout, r.Stderr, r.Took = out.String(), errs.String(), time.Since(begin)
	return r
}

// ended translates the result of Cmd.Wait.
func ended(t *testing.T, cmd *exec.Cmd, err error) result {
	t.Helper()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Errorf("%s: %v", strings.Join(cmd.Args, " "), err)
	}
	if cmd.ProcessState == nil {
		return result{Status: -1}
	}
	r := result{Status: cmd.ProcessState.ExitCode()}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		r.Signal = ws.Signal()
	}
	return r
}

// must runs a command that has to succeed and returns its standard output.
func (h *host) must(args ...string) string {
	h.Helper()
	r := h.rkt(args...)
	if r.Status != 0 {
		h.Fatalf("rkt %s: status %d, signal %v\n%s%s", strings.Join(args, " "), r.Status, r.Signal, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// listed is a pod as rkt list shows it.
type listed struct {
	UUID  string `json:"name"`
	State string `json:"state"`
}

// list returns all pods' states.
func (h *host) list() map[string]string {
	h.Helper()
	r := h.rkt("list", "--format=json")
	if r.Status != 0 || r.Stderr != "" {
		h.Fatalf("rkt list: status %d\n%s%s", r.Status, r.Stdout, r.Stderr)
	}
	var pods []listed
	if err := json.Unmarshal([]byte(r.Stdout), &pods); err != nil {
		h.Fatalf("rkt list: %v\n%s", err, r.Stdout)
	}
	states := make(map[string]string)
	for _, p := range pods {
		states[p.UUID] = p.State
	}
	return states
}

// status returns what rkt status says of a pod, by name.
func (h *host) status(uuid string) map[string]string {
	h.Helper()
	fields := make(map[string]string)
	for line := range strings.Lines(h.must("status", uuid)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		fields[name] = value
	}
	return fields
}

// gc removes all pods that have ended.
func (h *host) gc() string {
	h.Helper()
	h.podDirs() // notes which there were
	return h.must("gc", "--grace-period=0s", "--expire-prepared=0s")
}

// podDirs returns the directories of all pods in all states.
func (h *host) podDirs() []string {
	dirs, err := filepath.Glob(filepath.Join(h.data(), "pods", "*", "*"))
	if err != nil {
		h.Fatal(err)
	}
	for _, dir := range dirs {
		h.seen[filepath.Base(dir)] = true
	}
	return dirs
}

// close ends what still runs and makes sure that rkt cleans up after itself.
func (h *host) close() {
	for _, p := range h.pods {
		p.kill()
		if uuid, err := os.ReadFile(p.uuidFile); err == nil {
			h.seen[string(uuid)] = true
		}
	}
	if _, err := os.Stat(h.data()); err == nil {
		h.awaitProcesses()
		h.gc()
	}
	h.expectNoPodsLeft()
	if h.unmount != nil {
		h.unmount()
	}
	h.expectNothingInUse()
}

// copyTree copies a directory with cp(1), which knows links and holes.
func copyTree(t *testing.T, how, from, to string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "cp", how, from, to).CombinedOutput()
	if err != nil {
		t.Fatalf("cp %s %s: %v\n%s", how, from, err, out)
	}
}
