package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"rkt/internal/stage1/nspawn"
)

// measureContainers measures pods in containers beside their peers, and commands
// beside a running app.
func measureContainers(ctx context.Context, o options) (_ *containerReport, err error) {
	w, err := newWorkspace()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.remove()) }()
	if err := w.unpackStage1(ctx, o.coreos); err != nil {
		return nil, fmt.Errorf("unpack the stage1 image: %w", err)
	}
	pods, err := newRkt(ctx, o, w)
	if err != nil {
		return nil, fmt.Errorf("set up rkt: %w", err)
	}
	defer func() { err = errors.Join(err, pods.remove()) }()
	pods.stage1 = []string{"--stage1-path=" + o.coreos}
	plain, err := newPlainContainer(w)
	if err != nil {
		return nil, fmt.Errorf("set up plain systemd-nspawn: %w", err)
	}
	defer plain.rooms.close()
	result := &containerReport{}
	peers, err := newPodmanWithImage(ctx, w)
	if err != nil {
		result.Notes = append(result.Notes, fmt.Sprintf("podman was not measured: %v", err))
	}
	defer func() { err = errors.Join(err, peers.remove()) }()
	candidates := []candidate{
		{name: nameRktContainer, run: pods.run, after: pods.collect},
		{name: nameNspawn, run: plain.run},
	}
	if peers != nil {
		candidates = append(candidates, peers.candidates()[0])
	}
	if result.Times, err = rounds(ctx, candidates, o.runs); err != nil {
		return nil, err
	}
	result.Commands, err = measureCommands(ctx, o, pods, peers)
	result.compare()
	return result, err
}

// plainContainer is systemd-nspawn as the stage1 image has it, started as a pod's
// is, with a root that is the pod's but for the agent.
type plainContainer struct {
	rooms *namespaces
	argv  []string
}

// newPlainContainer makes the root.
func newPlainContainer(w *workspace) (*plainContainer, error) {
	image, err := nspawn.ReadImage(w.path("stage1", "rootfs"))
	if err != nil {
		return nil, err
	}
	root := w.path("stage1", "rootfs", "guest")
	if err := addService(root, w.busybox); err != nil {
		return nil, err
	}
	end := script("echo "+marker+" >/dev/console", "exec "+guestBusybox+" poweroff -f")
	if err := os.WriteFile(filepath.Join(root, guestScript), []byte(end), 0o755); err != nil {
		return nil, err
	}
	rooms, err := newNamespaces()
	if err != nil {
		return nil, err
	}
	return &plainContainer{rooms: rooms, argv: append(image.Command(w.path("stage1", "rootfs", "nspawn")),
		"--quiet", "--settings=no", "--link-journal=no", "--resolv-conf=off", "--timezone=off",
		"--register=no", "--keep-unit", "--private-network", "--read-only", "--machine=rkt-bench",
		"--directory="+root, "--boot", "--", "--log-target=null", "--show-status=0",
	)}, nil
}

func (p *plainContainer) run(ctx context.Context) (sample, error) {
	cmd := exec.CommandContext(ctx, p.argv[0], p.argv[1:]...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_LOG_LEVEL=err"}
	return p.rooms.timed(cmd)
}

// measureCommands takes the time of a command beside an app that runs: in a
// container, in a machine, and in a container of podman's.
func measureCommands(ctx context.Context, o options, pods *rkt, peers *podman) (_ []timing, err error) {
	var candidates []candidate
	end := func() error { return nil }
	// Their supervisors have lost their parent, so they are our children by now.
	defer func() { err = errors.Join(err, end(), awaitOrphans(context.WithoutCancel(ctx))) }()
	also := func(then func() error) {
		before := end
		end = func() error { return errors.Join(before(), then()) }
	}
	for _, pod := range []struct{ name, stage1 string }{{nameExecContainer, o.coreos}, {nameExecMachine, o.stage1}} {
		if pod.stage1 == "" {
			continue
		}
		uuid, err := pods.detach(ctx, pod.stage1)
		if err != nil {
			return nil, err
		}
		also(func() error {
			_, err := pods.tool(context.WithoutCancel(ctx), "stop", "--force", uuid)
			return err
		})
		candidates = append(candidates, candidate{name: pod.name, stays: true, run: func(ctx context.Context) (sample, error) {
			return timed(exec.CommandContext(ctx, pods.program, pods.arguments("exec", uuid, guestBusybox, "echo", marker)...))
		}})
	}
	if peers != nil {
		id, err := peers.detach(ctx)
		if err != nil {
			return nil, err
		}
		also(func() error { return peers.kill(context.WithoutCancel(ctx), id) })
		candidates = append(candidates, candidate{name: namePodmanExec, stays: true, run: func(ctx context.Context) (sample, error) {
			return peers.rooms.timed(peers.command(ctx, "exec", id, guestBusybox, "echo", marker))
		}})
	}
	return rounds(ctx, candidates, o.runs)
}

// detach starts a pod that stays, and returns its UUID.
func (r *rkt) detach(ctx context.Context, stage1 string) (string, error) {
	out, err := r.tool(ctx, "run", "--net=none", "--detach", "--stage1-path="+stage1, r.image,
		"--exec="+guestBusybox, "--", "sleep", "100000")
	return strings.TrimSpace(out), err
}

// detach starts a container that stays, and returns its id.
func (p *podman) detach(ctx context.Context) (string, error) {
	args := append(p.runArguments("--network=none", "--detach"), podmanImage, guestBusybox, "sleep", "100000")
	out, err := p.rooms.tool(p.command(ctx, args...))
	return strings.TrimSpace(out), err
}

// kill ends and removes a container.
func (p *podman) kill(ctx context.Context, id string) error {
	_, err := p.rooms.tool(p.command(ctx, "rm", "--force", "--time=0", id))
	return err
}
