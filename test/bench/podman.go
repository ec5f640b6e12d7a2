package main

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"

	"rkt/internal/build/tree"
	peer "rkt/test/podman"
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
	rooms.do(func() { err = leaveHybrid() })
	if err != nil {
		rooms.close()
		return nil, err
	}
	p := &podman{rooms: rooms, cgroup: filepath.Base(w.dir), flags: peer.Options(w.path("podman"), "/run/bench")}
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

// runArguments returns those of podman run that all containers get.
func (p *podman) runArguments(flags ...string) []string { return append(peer.Run(p.cgroup), flags...) }

// run runs one container.
func (p *podman) run(ctx context.Context, flags ...string) (sample, error) {
	args := append(p.runArguments(flags...), podmanImage, guestBusybox, "echo", marker)
	return p.rooms.timed(p.command(ctx, args...))
}

// remove removes what namespaces don't: control groups. The storage goes with
// the workspace.
func (p *podman) remove() error {
	if p == nil {
		return nil
	}
	p.rooms.close()
	return peer.RemoveGroups(p.cgroup)
}
