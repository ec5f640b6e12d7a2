package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/stage1/kvm/qmp"
)

// Descriptors that QEMU is started with; it can open no file by itself.
const (
	fdQMP = 3 + iota
	fdRoot
)

// nobody is the user whom the jail's programs run as if we are root.
const nobody = 65534

// controlPort is the id of the agent's port.
const controlPort = "control"

// boot is one start of the image's machine.
type boot struct {
	root        string
	description description
	arch        arch
	machine     machine
	console     io.Writer // gets the guest's console unless nil
}

// run starts QEMU, waits until the agent has opened its port, and ends QEMU.
func (b boot) run(ctx context.Context) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	ours, theirs, err := socketpair()
	if err != nil {
		return 0, err
	}
	defer theirs.Close()
	disk, err := os.Open(filepath.Join(b.root, guestFile))
	if err != nil {
		return 0, errors.Join(err, ours.Close())
	}
	defer disk.Close()

	cmd := jailed(ctx, filepath.Join(b.root, "machine"), b.description.QEMU, b.arguments()...)
	cmd.ExtraFiles = []*os.File{theirs, disk}
	said := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = b.console, said
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, errors.Join(err, ours.Close())
	}
	err = waitForAgent(ctx, ours)
	took = time.Since(start)
	cancel()
	_ = cmd.Wait() // it was killed, or its end is why waiting failed
	if err != nil {
		return 0, fmt.Errorf("%w; qemu said: %q", err, said)
	}
	return took, nil
}

// waitForAgent returns when the guest has opened its control port.
func waitForAgent(ctx context.Context, conn *net.UnixConn) error {
	client, err := qmp.New(ctx, conn)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the agent: %w", ctx.Err())
		case e, ok := <-client.Events():
			if !ok {
				return errors.New("the machine ended before its agent came")
			}
			if e.Name != "VSERPORT_CHANGE" {
				continue
			}
			var port struct {
				ID   string `json:"id"`
				Open bool   `json:"open"`
			}
			if err := json.Unmarshal(e.Data, &port); err != nil {
				return err
			}
			if port.ID == controlPort && port.Open {
				return nil
			}
		}
	}
}

// arguments returns QEMU's. Emulation is what every host can do.
func (b boot) arguments() []string {
	device := func(name, options string) string { return name + "-" + b.machine.bus + options }
	return []string{
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-L", b.description.Data,
		"-M", b.machine.name + "," + b.machine.options,
		"-global", "virtio-mmio.force-legacy=false",
		"-accel", "tcg", "-cpu", "max", "-m", "256M",
		"-kernel", b.description.Kernel,
		"-append", "root=/dev/vda ro rootfstype=erofs init=/usr/lib/systemd/systemd console=" + b.arch.console +
			" reboot=t panic=-1 no_timer_check nolapic_timer mitigations=off scsi_mod.scan=manual",
		"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d", fdQMP), "-mon", "chardev=qmp,mode=control",
		"-add-fd", fmt.Sprintf("fd=%d,set=1", fdRoot),
		"-blockdev", "driver=raw,node-name=root,read-only=on,file.driver=file,file.filename=/dev/fdset/1",
		"-device", device("virtio-blk", ",drive=root"),
		"-device", device("virtio-scsi", ""),
		"-device", device("virtio-serial", ""),
		"-chardev", "null,id=control", "-device", "virtserialport,id=" + controlPort + ",chardev=control,name=rkt.control",
		"-chardev", "null,id=data", "-device", "virtserialport,id=data,chardev=data,name=rkt.data",
		"-object", "rng-builtin,id=rng", "-device", device("virtio-rng", ",rng=rng"),
		"-device", device("virtio-balloon", ""),
		"-serial", "stdio",
	}
}

// jailed returns a command whose root is the given directory, run by a user
// without privileges. A caller who is not root has itself in a user namespace
// of its own.
func jailed(ctx context.Context, root, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Path, cmd.Args, cmd.Env, cmd.Dir = name, append([]string{name}, args...), []string{}, "/"
	attr := &syscall.SysProcAttr{Chroot: root, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	} else {
		attr.Cloneflags = syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	return cmd
}

// socketpair returns two connected sockets, one to use and one to pass on.
func socketpair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, nil, errors.Join(fmt.Errorf("a unix socket became a %T", conn), theirs.Close())
	}
	return unixConn, theirs, nil
}
