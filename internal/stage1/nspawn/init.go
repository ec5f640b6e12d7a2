package nspawn

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"rkt/internal/fault"
	"rkt/internal/linux"
	"rkt/internal/stage1"
	"rkt/internal/stage1/supervisor"
)

// InitName is the name under which this program prepares a container and
// becomes systemd-nspawn.
const InitName = "container-init"

// insideEnv holds an inside as JSON.
const insideEnv = "RKT_CONTAINER"

// Where things are in the mount namespace of systemd-nspawn. /run is its own: it
// leaves locks and directories there.
const (
	workDir     = "/run/pod"
	networkFile = "network" // in workDir
	// In the container, whose agent knows them.
	insideLink = "/run/host/rkt/link"
	insideWork = "/run/host/rkt/work"
)

// usersFD is the descriptor of the pod's user namespace, if it has one: the first
// after those that every container starts with.
const usersFD = 4

// inside is what the process that becomes systemd-nspawn has to know.
type inside struct {
	Tools string `json:"tools"` // directories, as the host sees them
	Guest string `json:"guest"`
	// Network is the file of the pod's network namespace, empty if rkt made none.
	Network string `json:"network,omitempty"`
	// Users are the container's ids; usersFD is the namespace that shifts owners
	// to them.
	Users    stage1.IDRange `json:"users"`
	Confined confinement    `json:"confined"`
	Args     []string       `json:"args"`
	Env      []string       `json:"env"`
}

// inside says how a pod's container is started. See systemd-nspawn(1).
func (l *Launcher) inside(spec supervisor.Spec) inside {
	args := append(l.image.Command(filepath.Join(workDir, toolsDir)),
		"--quiet", "--settings=no", "--link-journal=no", "--resolv-conf=off", "--timezone=off", "--console=pipe",
		// Not machined's business: the supervisor has made the control group.
		"--register=no", "--keep-unit",
		"--directory="+filepath.Join(workDir, guestDir), "--read-only",
		"--bind-ro="+filepath.Join(workDir, linkDir)+":"+insideLink,
		"--tmpfs="+insideWork+":mode=755",
		"--machine=rkt-"+spec.UUID, "--uuid="+spec.UUID,
	)
	confined := confine(spec)
	args = append(append(args, networking(spec)...), confined.arguments()...)
	args = append(append(args, users(spec)...), "--boot")
	// It inherits its filters of system calls, and makes none.
	env := []string{"SYSTEMD_SECCOMP=0", "SYSTEMD_NSPAWN_CONTAINER_SERVICE=rkt", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if spec.Run.IPC == stage1.IPCParent {
		env = append(env, "SYSTEMD_NSPAWN_SHARE_NS_IPC=true")
	}
	if spec.Run.Debug {
		args = append(args, "--", "--log-target=console", "--log-level=debug", "--show-status=1")
	} else {
		args = append(args, "--", "--log-target=null", "--show-status=0")
		env = append(env, "SYSTEMD_LOG_LEVEL=err")
	}
	i := inside{
		Tools: filepath.Join(l.image.root, toolsDir), Guest: filepath.Join(l.image.root, guestDir),
		Confined: confined, Args: args, Env: env, Users: spec.Run.PrivateUsers,
	}
	if spec.Network != nil {
		i.Network = spec.Network.Path()
	}
	return i
}

// networking says which network namespace the container has.
func networking(spec supervisor.Spec) []string {
	switch {
	case spec.Run.Net.Has(stage1.NetworkHost):
		return nil
	case spec.Network != nil && hasUsers(spec):
		return nil // it is joined before
	case spec.Network != nil:
		return []string{"--network-namespace-path=" + filepath.Join(workDir, networkFile)}
	}
	return []string{"--private-network"}
}

func hasUsers(spec supervisor.Spec) bool { return spec.Run.PrivateUsers != stage1.IDRange{} }

// users gives the container a user namespace. The owners of what it sees were
// shifted by then.
func users(spec supervisor.Spec) []string {
	if !hasUsers(spec) {
		return nil
	}
	return []string{"--private-users=" + spec.Run.PrivateUsers.String(), "--private-users-ownership=off"}
}

// Init prepares the mount namespace of a container and becomes systemd-nspawn.
// The working directory is the pod's. It returns only with an error.
func Init() error {
	if err := linux.ExpectParent(); err != nil {
		return err
	}
	runtime.LockOSThread() // network namespaces and filters are a thread's
	var i inside
	if err := json.Unmarshal([]byte(os.Getenv(insideEnv)), &i); err != nil {
		return fmt.Errorf("%s: %w", insideEnv, err)
	}
	if err := i.mount(); err != nil {
		return err
	}
	if i.Users != (stage1.IDRange{}) && i.Network != "" {
		if err := joinNetwork(filepath.Join(workDir, networkFile), i.Users); err != nil {
			return err
		}
	}
	if err := i.Confined.withholdCalls(); err != nil {
		return err
	}
	fault.Point("run.container.before-exec")
	return fmt.Errorf("execute %s: %w", i.Args[0], unix.Exec(i.Args[0], i.Args, i.Env))
}

// mount shows the parts at fixed places, on a /run of the container's own, and
// the processes of the new namespace. What hides something is mounted last.
func (i inside) mount() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return os.NewSyscallError("make mounts private", err)
	}
	parts := map[string]string{toolsDir: i.Tools, guestDir: i.Guest, linkDir: linkDir}
	mounts := map[string]*os.File{}
	if i.Network != "" {
		parts[networkFile] = i.Network
	}
	for name, path := range parts {
		mount, err := bind(path)
		if err != nil {
			return err
		}
		defer mount.Close()
		mounts[name] = mount
	}
	if i.Users != (stage1.IDRange{}) {
		if err := shift(mounts[guestDir], mounts[linkDir]); err != nil {
			return err
		}
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return os.NewSyscallError("mount /proc", err)
	}
	if err := unix.Mount("run", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return os.NewSyscallError("mount /run", err)
	}
	for name, mount := range mounts {
		if err := attachAt(mount, filepath.Join(workDir, name)); err != nil {
			return err
		}
	}
	return nil
}

// shift shows mounts as the pod's users' own.
func shift(mounts ...*os.File) error {
	namespace := os.NewFile(usersFD, "user namespace")
	defer namespace.Close()
	for _, mount := range mounts {
		if err := linux.Shift(mount, namespace); err != nil {
			return err
		}
	}
	return nil
}

// joinNetwork moves this program into a network namespace. systemd-nspawn could
// not: its container's own users have no say in one that they have not made.
// Neither have they the privilege to use low ports and to ping there, so everybody
// gets that: nobody else is in it.
func joinNetwork(path string, ids stage1.IDRange) error {
	namespace, err := os.Open(path)
	if err != nil {
		return err
	}
	defer namespace.Close()
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		return os.NewSyscallError("setns", err)
	}
	groups := fmt.Sprintf("%d %d", ids.First, ids.First+ids.Count-1)
	return errors.Join(
		os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0),
		os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte(groups), 0))
}

func bind(path string) (*os.File, error) {
	f, err := os.OpenFile(path, unix.O_PATH, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return linux.Bind(f, linux.NoDev)
}

// attachAt attaches a mount of a directory, or of a file in an existing one.
func attachAt(mount *os.File, path string) error {
	info, err := mount.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(path, 0o755)
	} else {
		err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o600))
	}
	if err != nil {
		return err
	}
	target, err := os.OpenFile(path, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	return errors.Join(linux.Attach(mount, target), target.Close())
}
