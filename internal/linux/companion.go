package linux

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Companions starts processes beside others, in their surroundings and as
// confined as they are.
type Companions struct {
	// mu makes sure that the program's own OOM score is what one process is to
	// inherit.
	mu sync.Mutex
}

// Surroundings are where a process lives that another one joins.
type Surroundings struct {
	Mounts *os.File // its mount namespace
	Root   *os.File // what must be the root directory there
	Cgroup *os.File // directory of its control group
}

// Companion is a process to be started.
type Companion struct {
	Path      string // inside the root
	Args, Env []string
	Dir       string
	UID, GID  uint32
	Groups    []uint32
	// Files are its descriptors 0, 1, 2, …
	Files []*os.File
	// Terminal says that the first file is a terminal, to be the one that
	// controls the process.
	Terminal bool

	AllCapabilities bool
	Capabilities    uint64 // a mask: all that it can ever have
	NoNewPrivileges bool
	Filters         []SyscallFilter
	OOMScoreAdjust  int
}

// Start starts a process and returns when its program was executed, or the
// error of that. Its limits are those that this program was started with.
//
// The process is forked from a thread that has put on all that can't be taken
// off: nothing of the app's root is ever executed or loaded by a thread of
// this program.
func (c *Companions) Start(in Surroundings, p Companion) (*os.Process, error) {
	type result struct {
		process *os.Process
		err     error
	}
	results := make(chan result, 1)
	go onOtherThread(func() {
		// The thread ends with this function, because it stays locked.
		err := p.confine(in)
		if err != nil {
			results <- result{nil, err}
			return
		}
		process, err := c.fork(in, p)
		results <- result{process, err}
	})
	r := <-results
	return r.process, r.err
}

// confine prepares the calling thread.
func (p Companion) confine(in Surroundings) error {
	if err := joinMounts(in); err != nil {
		return err
	}
	if err := leaveKeyring(); err != nil {
		return err
	}
	if !p.AllCapabilities {
		if err := boundCapabilities(p.Capabilities); err != nil {
			return err
		}
	}
	if p.NoNewPrivileges {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return os.NewSyscallError("prctl no_new_privs", err)
		}
	}
	for _, f := range p.Filters {
		if err := f.install(); err != nil {
			return err
		}
	}
	return nil
}

// leaveKeyring gives the calling thread a session keyring of its own. Where
// there are none, or a container forbids it, there is nothing to leave.
func leaveKeyring() error {
	const anonymous = 0
	_, _, errno := unix.RawSyscall(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, anonymous, 0)
	if errno == 0 || errno == unix.ENOSYS || errno == unix.EPERM {
		return nil
	}
	return fmt.Errorf("make a session keyring: %w", errno)
}

// joinMounts moves the calling thread into a mount namespace, and makes sure
// that its root directory is the one that is meant.
func joinMounts(in Surroundings) error {
	var want, have unix.Stat_t
	if err := unix.Fstat(int(in.Root.Fd()), &want); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Setns(int(in.Mounts.Fd()), unix.CLONE_NEWNS); err != nil {
		return os.NewSyscallError("setns", err)
	}
	if err := unix.Stat("/", &have); err != nil {
		return wrapPath("stat", "/", err)
	}
	if want.Dev != have.Dev || want.Ino != have.Ino {
		return errors.New("the mount namespace has another root")
	}
	return nil
}

// boundCapabilities takes all capabilities outside of mask from what the
// calling thread starts.
func boundCapabilities(mask uint64) error {
	for capability := uintptr(0); capability < 64; capability++ {
		if mask&(1<<capability) != 0 {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			return nil // past the last one this kernel knows
		}
		if err != nil {
			return os.NewSyscallError("prctl capbset_drop", err)
		}
	}
	return nil
}

// fork starts the process from the calling thread.
func (c *Companions) fork(in Surroundings, p Companion) (*os.Process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// This file was opened in the program's own root by another thread.
	score, err := openOOMScore()
	if err != nil {
		return nil, err
	}
	defer score.Close()
	own, err := readOOMScore(score)
	if err != nil {
		return nil, err
	}
	if err := writeOOMScore(score, p.OOMScoreAdjust); err != nil {
		return nil, err
	}
	process, err := p.start(in)
	return process, errors.Join(err, writeOOMScore(score, own))
}

// start forks the process and has it execute its program, in its control group.
func (p Companion) start(in Surroundings) (*os.Process, error) {
	attr := &os.ProcAttr{
		Dir:   p.Dir,
		Env:   append([]string{}, p.Env...), // nil would pass on that of this program
		Files: p.Files,
		Sys: &syscall.SysProcAttr{
			Credential:  &syscall.Credential{Uid: p.UID, Gid: p.GID, Groups: p.Groups},
			Setsid:      true,
			Setctty:     p.Terminal,
			UseCgroupFD: true,
			CgroupFD:    int(in.Cgroup.Fd()),
		},
	}
	process, err := os.StartProcess(p.Path, p.Args, attr)
	if !errors.Is(err, unix.ENOSYS) {
		return process, err
	}
	// A filter that looks into the flags of clone(2) can't let clone3(2) pass,
	// whose flags it can't see.
	return p.startStopped(in, attr)
}

// startStopped has the process stopped before its program's first instruction,
// and moves it to its control group then.
func (p Companion) startStopped(in Surroundings, attr *os.ProcAttr) (*os.Process, error) {
	attr.Sys.UseCgroupFD, attr.Sys.Ptrace = false, true
	process, err := os.StartProcess(p.Path, p.Args, attr)
	if err != nil {
		return nil, err
	}
	err = awaitStop(process.Pid)
	if err == nil {
		err = joinCgroup(in.Cgroup, process.Pid)
	}
	if err == nil {
		err = os.NewSyscallError("ptrace", unix.PtraceDetach(process.Pid))
	}
	if err != nil {
		_ = process.Kill()
		_, waitErr := process.Wait()
		return nil, errors.Join(err, waitErr)
	}
	return process, nil
}

// awaitStop waits until a process that the calling thread traces has stopped.
func awaitStop(pid int) error {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return os.NewSyscallError("wait4", err)
		case !status.Stopped():
			return fmt.Errorf("process %d ended before its program ran", pid)
		default:
			return nil
		}
	}
}

// joinCgroup moves a process to the control group with an open directory.
func joinCgroup(group *os.File, pid int) error {
	const procs = "cgroup.procs"
	fd, err := unix.Openat(int(group.Fd()), procs, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return wrapPath("open", procs, err)
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, strconv.AppendInt(nil, int64(pid), 10))
	return wrapPath("write", procs, err)
}

// openOOMScore opens the program's own score from a thread that sees its /proc.
func openOOMScore() (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	opened := make(chan result, 1)
	go func() {
		f, err := os.OpenFile("/proc/self/oom_score_adj", os.O_RDWR, 0)
		opened <- result{f, err}
	}()
	r := <-opened
	return r.f, r.err
}

func readOOMScore(f *os.File) (int, error) {
	var b [16]byte
	n, err := unix.Pread(int(f.Fd()), b[:], 0)
	if err != nil {
		return 0, os.NewSyscallError("pread", err)
	}
	return strconv.Atoi(strings.TrimSpace(string(b[:n])))
}

func writeOOMScore(f *os.File, score int) error {
	_, err := unix.Pwrite(int(f.Fd()), strconv.AppendInt(nil, int64(score), 10), 0)
	return wrapPath("write", f.Name(), err)
}
