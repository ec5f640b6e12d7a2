package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// machine is a plain QEMU: started like a pod's, but by nobody who speaks to
// it, and not confined beyond its root directory.
type machine struct {
	root string // directory that becomes QEMU's
	args commandLine
	disk string // the guest's root disk
}

// run starts the machine and waits for its end.
func (m machine) run(ctx context.Context) (sample, error) {
	s, err := m.start(ctx)
	if err != nil {
		return sample{}, err
	}
	defer s.close()
	return s.finish()
}

// startedMachine is a running machine with our ends of its sockets.
type startedMachine struct {
	*observation
	ends []*os.File
}

func (s *startedMachine) close() { closeFiles(s.ends) }

// start starts the machine, with each descriptor under the number that its
// command line says.
func (m machine) start(ctx context.Context) (*startedMachine, error) {
	d, err := m.args.descriptors()
	if err != nil {
		return nil, err
	}
	disk, err := os.Open(m.disk)
	if err != nil {
		return nil, err
	}
	theirs := map[int]*os.File{d.disk: disk}
	s := &startedMachine{}
	var console *os.File
	for _, fd := range append(d.sockets, d.console) {
		our, their, err := socketPair()
		if err != nil {
			closeFiles(s.ends)
			return nil, err
		}
		theirs[fd] = their
		if fd == d.console {
			console = our
		} else {
			s.ends = append(s.ends, our)
		}
	}
	cmd := m.command(ctx)
	var files []*os.File
	for fd := 3; fd <= slices.Max(append(d.sockets, d.console, d.disk)); fd++ {
		cmd.ExtraFiles = append(cmd.ExtraFiles, theirs[fd])
		if theirs[fd] != nil {
			files = append(files, theirs[fd])
		}
	}
	s.observation, err = observe(cmd, console, files...)
	if err != nil {
		closeFiles(s.ends)
		return nil, fmt.Errorf("start plain QEMU: %w", err)
	}
	return s, nil
}

func (m machine) command(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, m.args[0], m.args[1:]...)
	cmd.Dir = "/"
	cmd.Env = []string{}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: m.root, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// socketPair returns two connected sockets; reads from ours can be ended by a
// deadline.
func socketPair() (our, their *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	their = os.NewFile(uintptr(fds[1]), "their end")
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fds[0]), "our end"), their, nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
