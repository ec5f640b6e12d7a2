package main

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

	"golang.org/x/sys/unix"

	peer "rkt/test/podman"
)

// podman is podman with crun and storage of its own.
type podman struct{ dir, root string }

func newPodman(dir string) (*podman, error) {
	for _, name := range []string{"podman", "crun", "unshare"} {
		if _, err := exec.LookPath(name); err != nil {
			return nil, err
		}
	}
	p := &podman{dir: filepath.Join(dir, "podman"), root: filepath.Join(dir, "root")}
	return p, copyProgram(filepath.Join(p.root, "netbench"))
}

func copyProgram(to string) error {
	self, err := own()
	if err != nil {
		return err
	}
	b, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

// command runs this program in a container on the default network. crun refuses
// to run where both versions of the control groups are mounted, so the newer goes.
func (p *podman) command(ctx context.Context, flags []string, args ...string) *exec.Cmd {
	words := []string{
		"--mount", "sh", "-c", `umount -l /sys/fs/cgroup/unified 2>/dev/null; exec "$@"`, "sh",
		"podman",
	}
	words = slices.Concat(words, peer.Options(p.dir, "/run/netbench"), peer.Run(filepath.Base(filepath.Dir(p.dir))))
	words = append(append(words, flags...), "--rootfs", p.root, "/netbench")
	return exec.CommandContext(ctx, "unshare", append(words, args...)...)
}

// serve starts a server in a container.
func (p *podman) serve(ctx context.Context, name string) (*server, error) {
	const ip = "10.88.0.77" // of podman's default network
	s, err := run(ctx, name, p.command(ctx, []string{"--ip=" + ip}, "serve", serverPort), "ready")
	if err != nil {
		return nil, err
	}
	s.address = ip + serverPort
	return s, s.reachable(ctx)
}

// plain is a QEMU with the command line of a pod's, a tap on a bridge, and this
// program as all that runs in it.
type plain struct {
	args []string
	root string // what becomes QEMU's root directory
	disk string
}

const (
	bridgeName    = "br-plain"
	bridgeAddress = "10.94.0.1/24"
	guestAddress  = "10.94.0.2"
)

// newPlain makes the machine's disk and the bridge.
func newPlain(dir string) (*plain, error) {
	p := &plain{disk: filepath.Join(dir, "plain.img")}
	tree := filepath.Join(dir, "plain")
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	script := "#!/usr/bin/busybox sh\n" +
		"/usr/bin/busybox ip address add " + guestAddress + "/24 dev eth0\n" +
		"/usr/bin/busybox ip link set eth0 up\n" +
		"exec /usr/bin/netbench serve " + serverPort + "\n"
	program, err := os.ReadFile(busybox)
	if err != nil {
		return nil, err
	}
	for _, made := range []string{"dev", "proc", "sys", "usr/bin"} {
		if err := os.MkdirAll(filepath.Join(tree, made), 0o755); err != nil {
			return nil, err
		}
	}
	err = errors.Join(copyProgram(filepath.Join(tree, "usr/bin/netbench")),
		os.WriteFile(filepath.Join(tree, "usr/bin/busybox"), program, 0o755),
		os.WriteFile(filepath.Join(tree, "usr/bin/init"), []byte(script), 0o755))
	if err != nil {
		return nil, err
	}
	if _, err := tool("mkfs.erofs", "-T0", "-x-1", "--all-root", p.disk, tree); err != nil {
		return nil, err
	}
	for _, words := range []string{"link add " + bridgeName + " type bridge", "address add " + bridgeAddress + " dev " + bridgeName, "link set " + bridgeName + " up"} {
		if _, err := tool("ip", strings.Fields(words)...); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// useInit changes what the kernel starts.
func (p *plain) useInit(path string) error {
	i := slices.Index(p.args, "-append")
	if i < 0 {
		return errors.New("QEMU's command line has no -append")
	}
	parameters := strings.Fields(p.args[i+1])
	k := slices.IndexFunc(parameters, func(word string) bool { return strings.HasPrefix(word, "init=") })
	if k < 0 {
		return errors.New("the kernel is told no init")
	}
	parameters[k] = "init=" + path
	p.args[i+1] = strings.Join(parameters, " ")
	return nil
}

// serve starts the machine. Its descriptors have the numbers that the command line
// says; the streams lead nowhere.
func (p *plain) serve(ctx context.Context, name string) (*server, error) {
	number := regexp.MustCompile(`(?:^|,)fd=(\d+)`)
	cmd := exec.CommandContext(ctx, p.args[0], p.args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stderr = "/", []string{}, os.Stderr
	var ours []*os.File
	for i, word := range p.args {
		match := number.FindStringSubmatch(word)
		if match == nil {
			continue
		}
		fd, err := strconv.Atoi(match[1])
		if err != nil || fd < 3 || fd > 100 {
			return nil, fmt.Errorf("unexpected %q", word)
		}
		f, our, err := p.descriptor(p.args[i-1], word)
		if err != nil {
			return nil, err
		}
		if our != nil {
			ours = append(ours, our)
		}
		for len(cmd.ExtraFiles) <= fd-3 {
			cmd.ExtraFiles = append(cmd.ExtraFiles, nil)
		}
		cmd.ExtraFiles[fd-3] = f
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: p.root, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s := &server{name: name, address: guestAddress + serverPort, cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		_ = cmd.Wait()
		for _, f := range append(ours, cmd.ExtraFiles...) {
			f.Close()
		}
	}()
	return s, s.reachable(ctx)
}

// descriptor opens what an option of QEMU's expects, with our end if it has one.
func (p *plain) descriptor(option, word string) (theirs, ours *os.File, err error) {
	switch {
	case option == "-add-fd":
		theirs, err = os.Open(p.disk)
		return theirs, nil, err
	case strings.HasPrefix(word, "tap,"):
		theirs, err = tapOn(bridgeName)
		return theirs, nil, err
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[1]), "their end"), os.NewFile(uintptr(fds[0]), "our end"), nil
}

// tapOn makes a tap like a pod's, on a bridge.
func tapOn(bridge string) (*os.File, error) {
	const name = "tap-plain"
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: "/dev/net/tun", Err: err}
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err == nil {
		_, err = tool("ip", "link", "set", name, "master", bridge, "up")
	}
	return os.NewFile(uintptr(fd), name), err
}
