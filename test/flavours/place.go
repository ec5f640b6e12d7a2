package flavours

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every single wait. Emulation on a busy host is slow; nothing
// that works takes this long.
const patience = 10 * time.Minute

// suite is what all tests share.
type suite struct {
	rkt    string
	image  string // an app image with the probe
	strict string // the same with the isolator for no new privileges
	// With event handlers that print facts, and with one that fails.
	handlers, failing string
	// execBytes is how much goes through a command's input and output.
	execBytes int64
	soak      bool // the suite has the host for itself
}

// place is where one behaviour is tried with one flavour.
type place struct {
	*testing.T
	suite   *suite
	flavour Flavour
	stage1  string // the image's file, or its name if it is in the store
	data    string // rkt's data directory, the flavour's
	dir     string // for files of this test
	pods    int    // that were started
}

// options say more about a pod.
type options struct {
	image string // instead of the suite's
	stdin string
	flags []string // of `rkt run`
}

// result is a pod that has ended.
type result struct {
	*place
	uuid           string
	status         int
	stdout, stderr string
}

// command returns an rkt with directories of its own.
func (p *place) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	p.Cleanup(cancel)
	config := filepath.Join(p.data, "no-configuration")
	cmd := exec.CommandContext(ctx, p.suite.rkt, append([]string{
		"--dir=" + p.data, "--local-config=" + config, "--system-config=" + config, "--insecure-options=image",
	}, args...)...)
	cmd.WaitDelay = time.Second
	return cmd
}

// choose returns the flag that chooses the stage1 image.
func (p *place) choose() string {
	if filepath.IsAbs(p.stage1) {
		return "--stage1-path=" + p.stage1
	}
	return "--stage1-name=" + p.stage1
}

// start starts a pod in the background.
func (p *place) start(o options, args ...string) *running {
	p.Helper()
	image := p.suite.image
	if o.image != "" {
		image = o.image
	}
	uuid := filepath.Join(p.dir, fmt.Sprintf("uuid%d", p.pods))
	p.pods++
	words := append([]string{"run", "--net=none", p.choose(), "--uuid-file-save=" + uuid}, o.flags...)
	words = append(words, image)
	if len(args) > 0 && !strings.HasPrefix(args[0], "--name=") {
		words = append(words, "--name=app")
	}
	r := &running{place: p, uuidFile: uuid, ended: make(chan struct{})}
	r.cmd = p.command(append(words, args...)...)
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.err
	if o.stdin != "" {
		r.cmd.Stdin = strings.NewReader(o.stdin)
	}
	if err := r.cmd.Start(); err != nil {
		p.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait() // the state says more
		close(r.ended)
	}()
	return r
}

// running is a pod in the background.
type running struct {
	*place
	cmd      *exec.Cmd
	uuidFile string
	out, err transcript
	ended    chan struct{}
}

// transcript is what a pod has said so far.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write never fails.
func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(b)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// ready waits until the pod's apps run and the probe has said that it is ready,
// and returns the pod's UUID.
func (r *running) ready() string {
	r.Helper()
	for {
		b, err := os.ReadFile(r.uuidFile)
		if err == nil && len(b) > 0 && strings.Contains(r.out.String(), "ready") {
			uuid := strings.TrimSpace(string(b))
			r.rkt("status", "--wait-ready", uuid)
			return uuid
		}
		select {
		case <-r.ended:
			r.Fatalf("the pod ended: %s", r.err.String())
		case <-time.After(10 * time.Millisecond): // nothing tells of both
		}
	}
}

// awaitText waits until somebody beside the pod's app has said something.
func (r *running) awaitText(said *transcript, text string) {
	r.Helper()
	for !strings.Contains(said.String(), text) {
		select {
		case <-r.ended:
			r.Fatalf("the pod ended before %q was said", text)
		case <-time.After(10 * time.Millisecond): // nothing tells of it
		}
	}
}

// wait returns when the pod has ended.
func (r *running) wait() *result {
	r.Helper()
	<-r.ended
	uuid, _ := os.ReadFile(r.uuidFile)
	return &result{
		place: r.place, uuid: strings.TrimSpace(string(uuid)), status: r.cmd.ProcessState.ExitCode(),
		stdout: r.out.String(), stderr: r.err.String(),
	}
}

func (p *place) runWith(o options, args ...string) *result {
	p.Helper()
	return p.start(o, args...).wait()
}

func (p *place) run(args ...string) *result {
	p.Helper()
	return p.runWith(options{}, args...)
}

// rkt runs another command, which must succeed.
func (p *place) rkt(args ...string) string {
	p.Helper()
	out, err := p.command(args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		p.Fatalf("rkt %v: %v: %s", args, err, exit.Stderr)
	}
	if err != nil {
		p.Fatal(err)
	}
	return string(out)
}

func (r *result) want(status int) {
	r.Helper()
	if r.status != status {
		r.Fatalf("exit status %d, want %d; stdout %q, stderr %q", r.status, status, r.stdout, r.stderr)
	}
}

// wantStatus checks a line of `rkt status`.
func (r *result) wantStatus(name, want string) {
	r.Helper()
	status := r.rkt("status", r.uuid)
	if !strings.Contains(status+"\n", name+"="+want+"\n") {
		r.Errorf("rkt status has no %s=%s: %q", name, want, status)
	}
}

// lines returns what the apps wrote, without what rkt puts before each line
// where it prints them.
func (r *result) lines() []string {
	prefix := regexp.MustCompile(`(?m)^\[ *\d+\.\d{6}\] [a-z0-9-]+\[\d+\]: `)
	text := strings.TrimSuffix(prefix.ReplaceAllString(r.stdout+r.unprefixed(), ""), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// unprefixed is what the app wrote to stderr where that is rkt's own.
func (r *result) unprefixed() string {
	if r.flavour.Isolation != "none" {
		return ""
	}
	return r.stderr
}
