//go:build linux

package agent

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"rkt/internal/guest/approot"
	"rkt/internal/guest/guestproto"
	"rkt/internal/linux"
)

// Configure makes the machine a pod's.
func (s *session) Configure(ctx context.Context, req *guestproto.ConfigureRequest) (*guestproto.ConfigureResponse, error) {
	a := s.agent
	if a.configured() {
		return nil, status.Error(codes.FailedPrecondition, "the machine is configured already")
	}
	if err := do(a.kernel(req)); err != nil {
		return nil, err
	}
	scratch, err := a.scratch(ctx, req.Scratch)
	if err != nil {
		return nil, fmt.Errorf("scratch: %w", err)
	}
	builder, err := a.newBuilder()
	if err == nil {
		err = builder.Open(scratch, appNames(req))
	}
	if err != nil {
		return nil, fmt.Errorf("prepare for apps: %w", err)
	}
	accounts, err := newAccounts()
	if err != nil {
		return nil, fmt.Errorf("prepare for users: %w", err)
	}
	a.mu.Lock()
	a.builder, a.accounts, a.debug = builder, accounts, req.Debug
	a.settle = sync.OnceValue(func() error { return do(a.identity(req, builder)) })
	a.mu.Unlock()
	a.logf("configured as %s", req.Hostname)
	return &guestproto.ConfigureResponse{}, nil
}

// appNames returns the files that apps look names up in.
func appNames(req *guestproto.ConfigureRequest) approot.Names {
	names := approot.Names{
		Hosts:        req.GetNames().GetHosts(),
		ReplaceHosts: req.GetNames().GetReplaceHosts(),
		ResolvConf:   req.GetNames().GetResolvConf(),
	}
	if names.Hosts == "" {
		names.Hosts = hosts(req.Hostname)
	}
	return names
}

// step is one thing that makes a machine a pod's.
type step struct {
	what string
	do   func() error
}

// do takes one step after the other until one fails.
func do(steps []step) error {
	for _, step := range steps {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// kernel returns what is to be done before anything else. Time, randomness
// and the limit of namespaces are the kernel's, so not a container's.
func (a *Agent) kernel(req *guestproto.ConfigureRequest) []step {
	steps := []step{
		{"bring up loopback", loopbackUp},
		{"set up networks", func() error { return setLinks(req.Links) }},
		{"set sysctls", func() error { return setSysctls(req.Sysctls) }},
	}
	if a.opts.container() {
		return steps
	}
	// Randomness first: what comes later may use it.
	return append([]step{
		{"add entropy", func() error { return linux.AddEntropy(req.Entropy) }},
		{"set clock", func() error { return setClock(req.TimeUnixNano) }},
		{"close user namespaces", closeUserNamespaces},
	}, steps...)
}

// identity returns what must not happen while systemd boots: that looks at these
// as well, sets what it finds unset, and shares all mounts.
func (a *Agent) identity(req *guestproto.ConfigureRequest, builder *approot.Builder) []step {
	return []step{
		{"set host name", func() error { return unix.Sethostname([]byte(req.Hostname)) }},
		{"set machine-id", func() error { return a.setMachineID(req.MachineId) }},
		{"make room for apps' roots", builder.OpenRoots},
	}
}

func hosts(hostname string) string {
	return "127.0.0.1\tlocalhost " + hostname + "\n::1\tlocalhost " + hostname + "\n"
}

func setClock(unixNano int64) error {
	t := unix.NsecToTimespec(unixNano)
	return os.NewSyscallError("clock_settime", unix.ClockSettime(unix.CLOCK_REALTIME, &t))
}

// machineIDFile is what a link in a machine's /etc leads to.
const machineIDFile = ownDir + "/machine-id"

// setMachineID replaces the machine-id, which is the same for all machines. That of a
// container's root can't be written, and is covered.
func (a *Agent) setMachineID(id string) error {
	if b, err := hex.DecodeString(id); err != nil || len(b) != 16 {
		return errors.New("not 32 hexadecimal digits")
	}
	name := machineIDFile
	if a.opts.container() {
		name = filepath.Join(a.opts.Dirs.State, "machine-id")
	}
	// Nobody sees half of it.
	if err := os.WriteFile(name+".new", []byte(id+"\n"), 0o444); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil || !a.opts.container() {
		return err
	}
	return coverFile(name, "/etc/machine-id")
}

// loopbackUp makes sure of what systemd has done by itself already.
func loopbackUp() error {
	const flags = "/sys/class/net/lo/flags"
	b, err := os.ReadFile(flags)
	if err != nil {
		return err
	}
	now, err := strconv.ParseUint(string(bytes.TrimSpace(b)), 0, 32)
	if err != nil || now&unix.IFF_UP != 0 {
		return err
	}
	return os.WriteFile(flags, []byte("0x"+strconv.FormatUint(now|unix.IFF_UP, 16)), 0)
}

// closeUserNamespaces keeps apps from making user namespaces, in which all of
// the kernel is open to them. A filter of system calls could do it as well, at
// a price for every start. An app that runs with all capabilities may undo it.
func closeUserNamespaces() error {
	err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // this kernel has none
	}
	return err
}

// scratch is what takes apps' writes.
func (a *Agent) scratch(ctx context.Context, d *guestproto.Disk) (approot.Source, error) {
	if d == nil {
		return linux.Filesystem{Type: "tmpfs", Source: "scratch", Options: []string{"mode=700"}}, nil
	}
	return a.source(ctx, d)
}

// source waits for a disk and says how to mount it.
func (a *Agent) source(ctx context.Context, d *guestproto.Disk) (approot.Source, error) {
	if d.Filesystem != guestproto.HostMount {
		return filesystem(ctx, d)
	}
	if !a.opts.container() {
		return nil, errors.New("this machine gets no mounts from its host")
	}
	mount, err := a.opts.Mounts.Take(ctx, d.Device)
	if err != nil {
		return nil, err
	}
	return approot.HostMount{File: mount}, nil
}

// filesystem waits for a disk and says how to mount it.
func filesystem(ctx context.Context, d *guestproto.Disk) (linux.Filesystem, error) {
	fs := linux.Filesystem{Type: d.Filesystem}
	switch d.Filesystem {
	case "ext4":
		if d.ReadOnly {
			fs.Options = []string{"noload"} // a journal could not be replayed anyway
		} else {
			fs.Options = []string{"discard"} // the host wants its space back
		}
	case "erofs":
	default:
		return fs, fmt.Errorf("unknown file system %q", d.Filesystem)
	}
	if d.ReadOnly {
		fs.Attrs = linux.ReadOnly
	}
	device, err := waitForDisk(ctx, d)
	if err != nil {
		return fs, fmt.Errorf("wait for %s: %w", describeDisk(d), err)
	}
	if d.Verity != nil {
		if device, err = openVerity(ctx, device, d.Verity); err != nil {
			return fs, fmt.Errorf("check %s: %w", describeDisk(d), err)
		}
	}
	fs.Source = device
	return fs, nil
}

func describeDisk(d *guestproto.Disk) string {
	if d.Device != "" {
		return strings.TrimPrefix(d.Device, "/dev/")
	}
	return "disk " + strconv.FormatUint(uint64(d.Lun), 10)
}
