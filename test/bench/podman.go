package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"rkt/internal/build/tree"
)

// podmanImage is the image's name in podman's storage.
const podmanImage = "rkt-bench"

// podman is podman with crun, with storage of its own and namespaces in which
// what it leaves elsewhere disappears.
type podman struct {
	rooms  *namespaces
	flags  []string
	cgroup string // parent of the containers' control groups
}

// newPodman returns podman with nothing in its storage.
func newPodman(w *workspace) (*podman, error) {
	for _, name := range []string{"podman", "crun", "ip"} {
		if _, err := exec.LookPath(name); err != nil {
			return nil, err
		}
	}
	rooms, err := newNamespaces()
	if err != nil {
		return nil, err
	}
	p := &podman{rooms: rooms, cgroup: filepath.Base(w.dir), flags: []string{
		"--root", w.path("podman"), "--storage-driver=overlay",
		"--runroot", "/run/bench/run", "--tmpdir", "/run/bench/tmp", "--network-config-dir", "/run/bench/networks",
		"--runtime=crun", "--cgroup-manager=cgroupfs", "--events-backend=none",
	}}
	return p, nil
}

// newPodmanWithImage imports the same root file system that rkt runs.
func newPodmanWithImage(ctx context.Context, w *workspace) (*podman, error) {
	p, err := newPodman(w)
	if err != nil {
		return nil, err
	}
	if err := p.fill(ctx, w); err != nil {
		return nil, errors.Join(err, p.remove())
	}
	return p, nil
}

// fill fills podman's storage and runs each kind of container once.
func (p *podman) fill(ctx context.Context, w *workspace) error {
	t := tree.New()
	if err := t.File(guestBusybox, w.busybox, 0o755); err != nil {
		return err
	}
	root := w.path("podman-root")
	if err := t.WriteDir(root); err != nil {
		return err
	}
	archive := w.path("podman.tar")
	if _, err := tool(ctx, "tar", "-cf", archive, "-C", root, "."); err != nil {
		return err
	}
	if _, err := p.rooms.tool(exec.CommandContext(ctx, "ip", "link", "set", "lo", "up")); err != nil {
		return err
	}
	if _, err := p.rooms.tool(p.command(ctx, "import", archive, podmanImage)); err != nil {
		return err
	}
	for _, c := range p.candidates() {
		if _, err := once(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (p *podman) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "podman", append(p.flags, args...)...)
}

// candidates returns containers without and with a network, none if there is no
// podman.
func (p *podman) candidates() []candidate {
	if p == nil {
		return nil
	}
	return []candidate{
		{name: namePodmanNone, run: func(ctx context.Context) (sample, error) { return p.run(ctx, "--network=none") }},
		{name: namePodmanNetwork, run: func(ctx context.Context) (sample, error) { return p.run(ctx) }},
	}
}

// run runs one container. The limits are given because podman's default is
// more than a root without CAP_SYS_RESOURCE may set.
func (p *podman) run(ctx context.Context, flags ...string) (sample, error) {
	args := append([]string{
		"run", "--rm", "--cgroup-parent=/" + p.cgroup, "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024",
	}, flags...)
	return p.rooms.timed(p.command(ctx, append(args, podmanImage, guestBusybox, "echo", marker)...))
}

// remove removes what namespaces don't: control groups. The storage goes with
// the workspace.
func (p *podman) remove() error {
	if p == nil {
		return nil
	}
	p.rooms.close()
	return filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case !d.IsDir() || d.Name() != p.cgroup:
			return nil
		}
		if err := removeGroups(path); err != nil {
			return fmt.Errorf("remove control groups: %w", err)
		}
		return fs.SkipDir
	})
}

// removeGroups removes a control group and those below it, which are empty.
func removeGroups(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			if err := removeGroups(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(path)
}
