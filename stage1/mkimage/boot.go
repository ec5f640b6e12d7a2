package main

import (
	"context"
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

	"rkt/internal/guest/client"
)

// Descriptors that QEMU is started with; it can open no file by itself.
const (
	fdControl = 3 + iota
	fdData
	fdRoot
)

// nobody is the user whom the jail's programs run as if we are root.
const nobody = 65534

// boot is one start of the image's machine.
type boot struct {
	root        string
	description description
	arch        arch
	machine     machine
	console     io.Writer // gets the guest's console unless nil
}

// run starts QEMU, waits for the agent's first answer, and ends QEMU. It
// returns what the agent said, and after what time.
func (b boot) run(ctx context.Context) (guest client.Description, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	files, ours, err := b.open()
	defer closeAll(files)
	if err != nil {
		return guest, 0, err
	}
	agent := client.New(ours[0], ours[1], client.Options{})
	defer agent.Close()

	cmd := jailed(ctx, filepath.Join(b.root, "machine"), b.description.QEMU, b.arguments()...)
	cmd.ExtraFiles = files
	said := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = b.console, said
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return guest, 0, err
	}
	// QEMU holds these now, so its end is the end of the streams.
	closeAll(files)
	_, err = agent.Hello(ctx)
	took = time.Since(start)
	if err == nil {
		guest, err = agent.Describe(ctx)
	}
	cancel()
	_ = cmd.Wait() // it was killed, or its end is why there was no answer
	if err != nil {
		return guest, 0, fmt.Errorf("wait for the agent: %w; qemu said: %q", err, said)
	}
	return guest, took, nil
}

// open makes the descriptors that QEMU gets, in their order, and keeps the
// other ends of the streams.
func (b boot) open() (files []*os.File, ours []*net.UnixConn, err error) {
	for range []int{fdControl, fdData} {
		our, theirs, err := socketpair()
		if err != nil {
			return files, nil, err
		}
		files, ours = append(files, theirs), append(ours, our)
	}
	disk, err := os.Open(filepath.Join(b.root, guestFile))
	if err != nil {
		return files, nil, err
	}
	return append(files, disk), ours, nil
}

// closeAll closes files; one that is closed already stays so.
func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
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
		"-append", "root=/dev/vda ro rootfstype=erofs init=/usr/lib/rkt/init console=" + b.arch.console +
			" reboot=t panic=-1 no_timer_check nolapic_timer mitigations=off scsi_mod.scan=manual",
		"-add-fd", fmt.Sprintf("fd=%d,set=1", fdRoot),
		"-blockdev", "driver=raw,node-name=root,read-only=on,file.driver=file,file.filename=/dev/fdset/1",
		"-device", device("virtio-blk", ",drive=root"),
		"-device", device("virtio-scsi", ""),
		"-device", device("virtio-serial", ""),
		"-chardev", fmt.Sprintf("socket,id=control,fd=%d", fdControl),
		"-device", "virtserialport,chardev=control,name=rkt.control",
		"-chardev", fmt.Sprintf("socket,id=data,fd=%d", fdData),
		"-device", "virtserialport,chardev=data,name=rkt.data",
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
