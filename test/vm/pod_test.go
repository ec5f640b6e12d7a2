package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rkt/internal/linux"
)

// pod is one `rkt run` in the background.
type pod struct {
	h        *host
	cmd      *exec.Cmd
	out, err *transcript
	begun    time.Time
	done     chan struct{}
	ended    result // once done is closed
	uuidFile string
	known    string // the UUID, once it was asked for
}

// start runs a pod in the background. The arguments are those after "run".
func (h *host) start(args ...string) *pod {
	h.Helper()
	p := h.newPod(args...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.err
	p.launch()
	return p
}

// newPod returns a pod that is not started yet. It is on no network unless the
// arguments say so: most tests are about something else.
func (h *host) newPod(args ...string) *pod {
	h.Helper()
	p := &pod{h: h, out: newTranscript(), err: newTranscript(), done: make(chan struct{})}
	p.uuidFile = h.path(fmt.Sprintf("uuid%d", len(h.pods)))
	flags := []string{"run", "--uuid-file-save=" + p.uuidFile}
	if !slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--net=") }) {
		flags = append(flags, "--net=none")
	}
	p.cmd = h.command(append(flags, args...)...)
	h.pods = append(h.pods, p)
	return p
}

func (p *pod) launch() {
	p.h.Helper()
	p.begun = time.Now()
	if err := p.cmd.Start(); err != nil {
		p.h.Fatal(err)
	}
	go func() {
		err := p.cmd.Wait()
		p.ended = ended(p.h.T, p.cmd, err)
		p.ended.Took = time.Since(p.begun)
		p.out.end()
		p.err.end()
		close(p.done)
	}()
}

// run runs a pod to its end.
func (h *host) run(args ...string) (*pod, result) {
	h.Helper()
	p := h.start(args...)
	return p, p.wait()
}

// wait returns how the pod ended.
func (p *pod) wait() result {
	p.h.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.h.Fatalf("the pod does not end:\n%s%s", p.out, p.err)
	}
	r := p.ended
	r.Stdout, r.Stderr = p.out.String(), p.err.String()
	return r
}

// expect waits for the pod's end and fails the test unless it has the status.
func (p *pod) expect(status int) result {
	p.h.Helper()
	r := p.wait()
	if r.Status != status || r.Signal != 0 {
		p.h.Fatalf("status %d, signal %v; want status %d\n%s%s", r.Status, r.Signal, status, r.Stdout, r.Stderr)
	}
	return r
}

// finish ends a pod of sleeping apps in order.
func (p *pod) finish() {
	p.h.Helper()
	p.out.await(p.h, "ready")
	p.signal(syscall.SIGTERM)
	p.expect(0)
}

// kill ends the pod whatever it is doing.
func (p *pod) kill() {
	if p.cmd.Process == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

// signal sends a signal to rkt.
func (p *pod) signal(s syscall.Signal) {
	p.h.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.h.Fatal(err)
	}
}

// uuid returns the pod's UUID, for which it may have to wait.
func (p *pod) uuid() string {
	p.h.Helper()
	if p.known == "" {
		p.known = p.awaitUUID()
		p.h.seen[p.known] = true
	}
	return p.known
}

func (p *pod) awaitUUID() string {
	p.h.Helper()
	p.awaitFile(p.uuidFile)
	b, err := os.ReadFile(p.uuidFile)
	uuid := strings.TrimSpace(string(b))
	if err != nil || len(uuid) != uuidLength {
		p.h.Fatalf("UUID %q, %v", uuid, err)
	}
	return uuid
}

// awaitFile returns when a file exists in a directory that exists already. It
// fails the test if the pod ends without it.
func (p *pod) awaitFile(path string) {
	p.h.Helper()
	watch, err := linux.NewWatch()
	if err != nil {
		p.h.Fatal(err)
	}
	defer watch.Close()
	if err := watch.Add(filepath.Dir(path)); err != nil {
		p.h.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(p.h.Context(), patience)
	defer cancel()
	go func() {
		select {
		case <-p.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		_, err := os.Lstat(path)
		if err == nil {
			return
		}
		if !errors.Is(err, os.ErrNotExist) || ctx.Err() != nil {
			p.h.Fatalf("there is no %s (%v):\n%s%s", path, err, p.out, p.err)
		}
		_ = watch.Wait(ctx) // its end is seen above, after another look
	}
}

// machineStarted returns when the pod has a machine, which has yet to boot.
func (p *pod) machineStarted() {
	p.h.Helper()
	dir := filepath.Join(p.h.data(), "pods", "run", p.uuid())
	p.awaitFile(dir)
	p.awaitFile(filepath.Join(dir, "pid"))
}

const uuidLength = 36

// ready returns when all apps of the pod were started.
func (p *pod) ready() {
	p.h.Helper()
	uuid := p.uuid()
	r := p.h.rkt("status", "--wait-ready="+patience.String(), uuid)
	if r.Status != 0 {
		p.h.Fatalf("rkt status --wait-ready: status %d: %s\nthe pod said:\n%s%s", r.Status, r.Stderr, p.out, p.err)
	}
}

// supervisor returns the process that rkt became.
func (p *pod) supervisor() int { return p.cmd.Process.Pid }

// hypervisor returns the machine's process, as rkt status tells.
func (p *pod) hypervisor() int {
	p.h.Helper()
	text := p.h.status(p.uuid())["pid"]
	pid, err := strconv.Atoi(text)
	if err != nil || pid == p.supervisor() || !alive(pid) {
		p.h.Fatalf("rkt status: pid=%q is not the machine's", text)
	}
	return pid
}

// dir returns where the pod's directory is now.
func (p *pod) dir() string {
	p.h.Helper()
	dirs, err := filepath.Glob(filepath.Join(p.h.data(), "pods", "*", p.uuid()))
	if err != nil || len(dirs) != 1 {
		p.h.Fatalf("directories of pod %s: %v, %v", p.uuid(), dirs, err)
	}
	return dirs[0]
}

// line is one line of an app's output as rkt prints it.
type line struct {
	At   time.Duration // the host's monotonic clock
	App  string
	PID  int
	Text string
}

// lines takes a pod's output apart. Every line must have the form
// "[seconds.micros] name[pid]: text".
func lines(t testing.TB, out string) []line {
	t.Helper()
	form := regexp.MustCompile(`^\[ *(\d+)\.(\d{6})\] ([a-z0-9-]+)\[(\d+)\]: (.*)$`)
	var all []line
	for text := range strings.Lines(out) {
		m := form.FindStringSubmatch(strings.TrimSuffix(text, "\n"))
		if m == nil {
			t.Fatalf("not in the form of an app's output: %q", text)
		}
		at, err := time.ParseDuration(m[1] + "s" + m[2] + "us")
		pid, pidErr := strconv.Atoi(m[4])
		if err := errors.Join(err, pidErr); err != nil {
			t.Fatal(err)
		}
		all = append(all, line{at, m[3], pid, m[5]})
	}
	return all
}

// texts returns what one app said, line by line.
func texts(t testing.TB, out, app string) []string {
	t.Helper()
	var said []string
	for _, l := range lines(t, out) {
		if l.App == app {
			said = append(said, l.Text)
		}
	}
	return said
}
