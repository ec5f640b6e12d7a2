// Svm runs a command as root on a machine that has hardware virtualization,
// wherever it is: QEMU emulates a processor with AMD's SVM, Debian's kernel boots
// on it with this host's files below it, and KVM works in there. It is slow, and
// the truth about KVM.
//
//	svm [--memory=MIB] [--timeout=DURATION] [--console] [--systemd=unified|hybrid]
//	    [--env=NAME=VALUE …] -- COMMAND [ARG…]
//
// The command sees all files of this host and may write anywhere; what it writes
// is gone at the end. It gets this working directory, the environment that
// --env says, and no input. Its output and its exit status are svm's. It runs as
// root and needs the packages linux-image-amd64 and qemu-system-x86.
//
// Rarely the emulated processor stops taking interrupts while a machine runs in the
// machine, and everything in there stands still. The machine says every second that
// it runs; when it no longer does, svm tells, and runs the command anew in another
// machine. The third machine that stands still is an error.
//
// The machine has version 2 of the control groups alone, and nothing runs in it
// besides the command. With --systemd the host's systemd is its first program, as
// on most hosts, and the command is one of its services: with version 2 alone
// (unified), or with version 1 beside it (hybrid).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// statusError is svm's exit status for everything that isn't the command's.
const statusError = 254

// Values of --systemd.
const (
	unified = "unified"
	hybrid  = "hybrid"
)

// options are the command line's.
type options struct {
	memoryMiB int
	timeout   time.Duration
	console   bool
	task      task
}

// task is what the machine is to do. The machine reads it from its first root.
type task struct {
	Command     []string `json:"command"`
	Directory   string   `json:"directory"`
	Environment []string `json:"environment"`
	// Modules are the names of the kernel's modules to load, in this order.
	Modules []string `json:"modules"`
	// Systemd has systemd run the command, with this hierarchy of control groups; ""
	// without it.
	Systemd string `json:"systemd,omitempty"`
}

func main() {
	if os.Getpid() == 1 {
		beInit()
		return
	}
	if filepath.Base(os.Args[0]) == serviceProgram {
		beService()
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status, err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "svm:", err)
	}
	os.Exit(status)
}

func run(ctx context.Context, args []string) (int, error) {
	o, err := parse(args)
	if err != nil {
		return statusError, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("stopped after %s", o.timeout))
	defer cancel()
	kernel, err := findKernel()
	if err != nil {
		return statusError, err
	}
	dir, err := os.MkdirTemp("", "svm-")
	if err != nil {
		return statusError, err
	}
	defer os.RemoveAll(dir)
	m := machine{dir: dir, options: o}
	if err := kernel.extract(ctx, m.kernel()); err != nil {
		return statusError, fmt.Errorf("unpack %s: %w", kernel.image, err)
	}
	if err := writeInitramfs(m.initramfs(), kernel, o.task); err != nil {
		return statusError, fmt.Errorf("make the initramfs: %w", err)
	}
	return m.runAgain(ctx)
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("svm", flag.ContinueOnError)
	f.IntVar(&o.memoryMiB, "memory", 2048, "the machine's memory in MiB; all that is written goes there")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "how long the machine may run")
	f.BoolVar(&o.console, "console", false, "show what the machine's kernel says")
	f.StringVar(&o.task.Systemd, "systemd", "", "run systemd, with the control groups of version 2 alone (unified) or of both (hybrid)")
	f.Func("env", "a variable for the command's environment", func(value string) error {
		if !strings.Contains(value, "=") {
			return errors.New("needs NAME=VALUE")
		}
		o.task.Environment = append(o.task.Environment, value)
		return nil
	})
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.task.Command = f.Args()
	if s := o.task.Systemd; s != "" && s != unified && s != hybrid {
		return o, fmt.Errorf("--systemd=%s: is neither %s nor %s", s, unified, hybrid)
	}
	if len(o.task.Command) == 0 || o.memoryMiB < 256 {
		return o, errors.New("usage: svm [flags] -- COMMAND [ARG…]")
	}
	if os.Geteuid() != 0 {
		return o, errors.New("the machine reads all files of this host, for which it needs root")
	}
	var err error
	o.task.Directory, err = os.Getwd()
	return o, err
}
