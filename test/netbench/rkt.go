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

// rkt is the program under test, with a data directory of its own.
type rkt struct {
	program, data, image string
}

// newRkt stores an image of this program.
func newRkt(dir, program string) (*rkt, error) {
	self, err := own()
	if err != nil {
		return nil, err
	}
	t := tree.New()
	if err := t.File("/netbench", self, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "app.aci")
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	manifest := `{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/netbench",` +
		`"labels":[{"name":"os","value":"linux"},{"name":"arch","value":"amd64"}],` +
		`"app":{"exec":["/netbench"],"user":"0","group":"0"}}`
	if err := errors.Join(t.WriteACI(f, []byte(manifest)), f.Close()); err != nil {
		return nil, err
	}
	r := &rkt{program: program, data: filepath.Join(dir, "data")}
	out, err := exec.Command(program, r.arguments("fetch", "--full", path)...).Output()
	r.image = strings.TrimSpace(string(out))
	return r, err
}

func (r *rkt) arguments(args ...string) []string {
	return append([]string{"--dir=" + r.data, "--insecure-options=image,stage1", "--local-config=" + r.data + "/none"}, args...)
}

// machineSize has a machine made for one app.
const machineSize = "--cpu=1"

// command runs this program in a pod on the default network, with options for the
// app. Containers get none: podman's have no limits either.
func (r *rkt) command(ctx context.Context, stage1, uuidFile string, options []string, args ...string) *exec.Cmd {
	words := r.arguments("run", "--stage1-path="+stage1, "--net=default", "--uuid-file-save="+uuidFile, r.image)
	words = append(append(words, options...), "--")
	return exec.CommandContext(ctx, r.program, append(words, args...)...)
}

// serve starts a server in a pod.
func (r *rkt) serve(ctx context.Context, name, stage1 string, options ...string) (*server, error) {
	uuidFile := filepath.Join(r.data, strings.ReplaceAll(name, " ", "-"))
	s, err := run(ctx, name, r.command(ctx, stage1, uuidFile, options, "serve", serverPort), "ready")
	if err != nil {
		return nil, err
	}
	ip, err := r.status(uuidFile, "networks")
	if _, address, ok := strings.Cut(ip, "default:ip4="); ok && err == nil {
		s.address = address + serverPort
		return s, s.reachable(ctx)
	}
	s.stop()
	return nil, fmt.Errorf("%s: the pod has no address: %q %w", name, ip, err)
}

// status returns one line of `rkt status`.
func (r *rkt) status(uuidFile, name string) (string, error) {
	out, err := exec.Command(r.program, r.arguments("status", "--uuid-file="+uuidFile)...).Output()
	for line := range strings.Lines(string(out)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			return value, err
		}
	}
	return "", errors.Join(err, fmt.Errorf("rkt status says nothing of %s", name))
}

// imitate gives a machine the command line of a pod's QEMU, and the directory that
// it runs in as its root.
func (r *rkt) imitate(name string, m *plain) error {
	pid, err := r.status(filepath.Join(r.data, strings.ReplaceAll(name, " ", "-")), "pid")
	if err != nil {
		return err
	}
	if _, err := strconv.Atoi(pid); err != nil {
		return err
	}
	b, err := os.ReadFile("/proc/" + pid + "/cmdline")
	if err != nil {
		return err
	}
	machines, err := filepath.Glob(filepath.Join(r.data, "cas/tree/*/rootfs/machine"))
	if err != nil || len(machines) != 1 {
		return fmt.Errorf("%d directories of machines (%w)", len(machines), err)
	}
	m.args, m.root = strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00"), machines[0]
	return m.useInit("/usr/bin/init")
}

// collect removes pods that have ended.
func (r *rkt) collect() error {
	_, err := tool(r.program, r.arguments("gc", "--grace-period=0s")...)
	return err
}
