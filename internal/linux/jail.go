package linux

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"rkt/internal/fault"
)

// Jail describes where a confined process lives.
type Jail struct {
	// Root is a directory that becomes the process's whole file system,
	// read-only. Nothing else of the host is mounted in its namespace.
	Root string
	// ID is the uid and gid of the process. It has no other groups.
	ID int
	// Devices are devices to make available below /dev, owned by ID.
	Devices []Device
	// Home is a directory of Root in which the process finds an empty one that it
	// may write a little to, "" for none.
	Home string
	// Filter is a seccomp program that every process of the jail starts under,
	// nil for none. It must let the start of a program happen.
	Filter []unix.SockFilter
}

// Device is a device of a jail.
type Device struct {
	Name         string // file name below /dev
	Major, Minor uint32
	Block        bool // not a character device
	ReadOnly     bool // for the process
}

// Warden is an operating system thread that has moved into a jail and starts
// processes there. It lives as long as the program, because the kernel kills
// the processes when the thread that started them ends.
type Warden struct {
	jail     Jail
	requests chan request
	// alive ends when this program does: nothing is ever written to it, and
	// only this program has the other end.
	alive, ours *os.File
}

type request struct {
	argv   []string
	env    []string
	files  []*os.File
	result chan<- started
}

type started struct {
	process *os.Process
	err     error
}

// NewWarden makes the jail: mount, IPC, UTS and network namespaces of its own,
// the root directory and nothing else, no capabilities to gain and
// no_new_privs. It needs CAP_SYS_ADMIN, a file /init in the root to mount this
// program on, and a program that calls Init when IsInit says so.
func NewWarden(jail Jail) (*Warden, error) {
	alive, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	w := &Warden{jail: jail, requests: make(chan request), alive: alive, ours: ours}
	ready := make(chan error)
	go onOtherThread(func() { w.run(ready) })
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("make jail: %w", err)
	}
	return w, nil
}

// Start starts a process as the first of a PID namespace, under the jail's
// uid, without capabilities. It gets files as its descriptors 0, 1, 2, … and no
// others, and env as its whole environment: nil is an empty one. It is killed
// when this program ends, however that happens.
func (w *Warden) Start(argv, env []string, files []*os.File) (*os.Process, error) {
	result := make(chan started)
	w.requests <- request{argv, env, files, result}
	s := <-result
	return s.process, s.err
}

// onOtherThread runs f with an operating system thread of its own that is not
// the program's first: what /proc says of that one it says of the program.
func onOtherThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	// As long as this thread is taken, the next goroutine gets another one.
	settled := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(settled)
		f()
	}()
	<-settled
	runtime.UnlockOSThread()
}

// run never unlocks its thread: no other goroutine may ever run inside the
// jail, and the runtime destroys a locked thread whose goroutine ends.
func (w *Warden) run(ready chan<- error) {
	if err := w.jail.enter(); err != nil {
		ready <- err
		return
	}
	ready <- nil
	for r := range w.requests {
		p, err := os.StartProcess(initPath, initArgs(len(r.files), encodeFilter(w.jail.Filter), r.argv), &os.ProcAttr{
			Dir:   "/",
			Env:   append([]string{}, r.env...), // nil would pass on that of this program
			Files: append(slices.Clip(r.files), w.alive),
			Sys: &syscall.SysProcAttr{
				Cloneflags: syscall.CLONE_NEWPID,
				Credential: &syscall.Credential{Uid: uint32(w.jail.ID), Gid: uint32(w.jail.ID)},
				Pdeathsig:  syscall.SIGKILL,
				Setpgid:    true, // a Ctrl-C in the terminal is the supervisor's business alone
			},
		})
		r.result <- started{p, err}
	}
}

// enter moves the calling thread into the jail.
func (j Jail) enter() error {
	const namespaces = unix.CLONE_FS | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWNET
	if err := unix.Unshare(namespaces); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := j.changeRoot(); err != nil {
		return err
	}
	if err := dropBoundingSet(); err != nil {
		return err
	}
	return os.NewSyscallError("prctl no_new_privs", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
}

func (j Jail) changeRoot() error {
	steps := []struct {
		name string
		do   func() error
	}{
		{"make mounts private", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }},
		{"bind root", func() error { return unix.Mount(j.Root, j.Root, "", unix.MS_BIND, "") }},
		{"bind init", func() error { return bindInit(j.Root + initPath) }},
		{"make devices", func() error { return j.makeDevices() }},
		{"make home", func() error { return j.makeHome() }},
		{"make root read-only", func() error {
			return unix.Mount("", j.Root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "")
		}},
		{"enter root", func() error { return unix.Chdir(j.Root) }},
		{"pivot root", func() error { return unix.PivotRoot(".", ".") }},
		{"detach the host's root", func() error { return unix.Unmount(".", unix.MNT_DETACH) }},
		{"enter new root", func() error { return unix.Chdir("/") }},
	}
	for _, s := range steps {
		fault.Point("jail." + strings.ReplaceAll(s.name, " ", "-"))
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	fault.Point("jail.made")
	return nil
}

// makeDevices mounts a small /dev over the directory of that name in the root.
// Without devices there is no /dev at all.
func (j Jail) makeDevices() error {
	if len(j.Devices) == 0 {
		return nil
	}
	dev := j.Root + "/dev"
	if err := unix.Mount("tmpfs", dev, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=0755,size=64k"); err != nil {
		return err
	}
	for _, d := range j.Devices {
		path := dev + "/" + d.Name
		if err := unix.Mknod(path, d.mode(), int(unix.Mkdev(d.Major, d.Minor))); err != nil {
			return err
		}
		if err := unix.Chown(path, j.ID, j.ID); err != nil {
			return err
		}
	}
	return nil
}

// mode returns the mode of the device's node.
func (d Device) mode() uint32 {
	mode := uint32(unix.S_IFCHR)
	if d.Block {
		mode = unix.S_IFBLK
	}
	if d.ReadOnly {
		return mode | 0o400
	}
	return mode | 0o600
}

// makeHome mounts the writable directory.
func (j Jail) makeHome() error {
	if j.Home == "" {
		return nil
	}
	return unix.Mount("tmpfs", j.Root+j.Home, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC,
		fmt.Sprintf("mode=0700,uid=%d,gid=%d,size=64k", j.ID, j.ID))
}

// dropBoundingSet makes sure that nothing the calling thread starts can ever
// have a capability again once it has changed its uid.
func dropBoundingSet() error {
	for capability := uintptr(0); ; capability++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) && capability > 0 {
			return nil // past the last one this kernel knows
		}
		if err != nil {
			return os.NewSyscallError("prctl capbset_drop", err)
		}
	}
}
