package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"rkt/internal/build/tree"
)

// errStatus is returned when `rkt status` lacks a line.
var errStatus = errors.New("unexpected output of rkt status")

// rkt is the program under test with a data directory of its own.
type rkt struct {
	program  string
	data     string
	uuidFile string
	image    string   // id of the stored image
	stage1   []string // flags that choose the image to measure
	clock    string   // a stage1 image that does nothing, see clock.go
}

// newRkt stores the app's image.
func newRkt(ctx context.Context, o options, w *workspace) (*rkt, error) {
	r := &rkt{program: o.rkt, data: w.path("data"), uuidFile: w.path("uuid"), clock: w.path("clock.aci")}
	// Beside rkt it is found as it is by everybody.
	if filepath.Dir(o.stage1) != filepath.Dir(o.rkt) {
		r.stage1 = []string{"--stage1-path=" + o.stage1}
	}
	app := w.path("app.aci")
	if err := writeApp(app, w.busybox); err != nil {
		return nil, err
	}
	if err := writeClock(r.clock); err != nil {
		return nil, err
	}
	id, err := r.tool(ctx, "fetch", "--full", app)
	r.image = strings.TrimSpace(id)
	return r, err
}

// remove ends and removes every pod.
func (r *rkt) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	return r.collect(ctx)
}

// collect removes the pods that have ended.
func (r *rkt) collect(ctx context.Context) error {
	_, err := r.tool(ctx, "gc", "--grace-period=0s")
	return err
}

func (r *rkt) tool(ctx context.Context, args ...string) (string, error) {
	return tool(ctx, r.program, r.arguments(args...)...)
}

// arguments puts the flags that all commands get before the given ones. The
// image is not signed: checking that is no part of running a stored one.
func (r *rkt) arguments(args ...string) []string {
	return append([]string{"--dir=" + r.data, "--insecure-options=image,stage1"}, args...)
}

// command returns a `rkt run` of the stored image with other flags and other
// arguments for busybox.
func (r *rkt) command(ctx context.Context, flags, args []string) *exec.Cmd {
	all := append([]string{"run", "--net=none"}, flags...)
	all = append(all, r.image)
	if len(args) > 0 {
		all = append(append(all, "--exec="+guestBusybox, "--"), args...)
	}
	return exec.CommandContext(ctx, r.program, r.arguments(all...)...)
}

// candidates returns rkt as users run it, and its first stage alone.
func (r *rkt) candidates() []candidate {
	return []candidate{
		{name: nameRkt, run: r.run, after: r.collect},
		{name: nameStage0, run: r.runClock, after: r.collect},
	}
}

func (r *rkt) run(ctx context.Context) (sample, error) {
	return timed(r.command(ctx, r.stage1, nil))
}

// idlePod is what an idle pod tells.
type idlePod struct {
	isolation   string
	commandLine commandLine // its QEMU's
	memory      footprint
}

// measureIdle runs a pod whose app sleeps, and looks at it from outside.
func (r *rkt) measureIdle(ctx context.Context) (pod idlePod, err error) {
	flags := append([]string{"--uuid-file-save=" + r.uuidFile}, r.stage1...)
	idle := fmt.Sprintf("%s sleep %s; echo %s; exec %[1]s sleep 1000", guestBusybox, settleSeconds, marker)
	o, err := piped(r.command(ctx, flags, []string{"sh", "-c", idle}))
	if err != nil {
		return pod, err
	}
	defer func() {
		_, stopErr := r.tool(ctx, "stop", "--force", "--uuid-file="+r.uuidFile)
		// It was stopped, so its status says nothing.
		_, _ = o.finish()
		err = errors.Join(err, stopErr, awaitOrphans(ctx), r.collect(ctx))
	}()
	if err := o.await(ctx); err != nil {
		return pod, err
	}
	facts, err := r.status(ctx)
	if err != nil {
		return pod, err
	}
	pod.isolation = facts["isolation"]
	pid, err := strconv.Atoi(facts["pid"])
	if err != nil {
		return pod, fmt.Errorf("%w: pid=%q", errStatus, facts["pid"])
	}
	if pod.commandLine, err = readCommandLine(pid); err != nil {
		return pod, err
	}
	guest, err := pod.commandLine.memoryBytes()
	if err != nil {
		return pod, err
	}
	pod.memory, err = measureFootprint(nameRkt, o.cmd.Process.Pid, guest)
	return pod, err
}

// status returns what `rkt status` says of the idle pod.
func (r *rkt) status(ctx context.Context) (map[string]string, error) {
	out, err := r.tool(ctx, "status", "--uuid-file="+r.uuidFile)
	facts := make(map[string]string)
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		facts[name] = value
	}
	return facts, err
}

// writeApp makes an image of one static program that says the line.
func writeApp(path, busybox string) error {
	manifest := fmt.Sprintf(`{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/bench",`+
		`"labels":[{"name":"os","value":"linux"},{"name":"arch","value":"amd64"}],`+
		`"app":{"exec":[%q,"echo",%q],"user":"0","group":"0"}}`, guestBusybox, marker)
	t := tree.New()
	if err := t.File(guestBusybox, busybox, 0o755); err != nil {
		return err
	}
	return writeACI(path, t, manifest)
}

func writeACI(path string, t *tree.Tree, manifest string) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return t.WriteACI(f, []byte(manifest))
}
