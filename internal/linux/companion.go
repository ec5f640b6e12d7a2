package linux

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Surroundings are where a process lives that another one joins.
type Surroundings struct {
	Mounts *os.File // its mount namespace
	Root   *os.File // what must be the root directory there
	Cgroup *os.File // directory of its control group
}

// Companion is a process to be started beside others, in their surroundings and
// as confined as they are.
type Companion struct {
	Path      string // inside the root
	Args, Env []string
	Dir       string
	UID, GID  uint32
	Groups    []uint32

	AllCapabilities bool
	Capabilities    uint64 // a mask: all that it can ever have
	NoNewPrivileges bool
	// Filters are put in place in their order, of which only the last may withhold
	// what the others take to get there: seccomp(2).
	Filters        []SyscallFilter
	OOMScoreAdjust int
}

// CompanionError is why a companion did not come to execute its program.
type CompanionError struct {
	Step  string // what was being done
	Errno syscall.Errno
}

func (e *CompanionError) Error() string { return e.Step + ": " + e.Errno.Error() }

// Unwrap returns the kernel's error.
func (e *CompanionError) Unwrap() error { return e.Errno }

// companionName is what this program sees as its own name when it is to become a
// companion.
const companionName = "companion"

// Start starts a process with some descriptors, the first of which becomes the
// terminal that controls it if it is one. It returns when the program was
// executed, or a *CompanionError. The process's limits are those that this
// program was started with.
//
// The process begins as this program, which must call BecomeCompanion when
// IsCompanion says so: what confines it may keep it from all but executing
// another program. Nothing of the app's root is executed or loaded before that.
func (p Companion) Start(in Surroundings, files []*os.File, terminal bool) (*os.Process, error) {
	spec, err := p.spec()
	if err != nil {
		return nil, err
	}
	defer spec.Close()
	failure, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer failure.Close()
	process, err := os.StartProcess("/proc/self/exe", []string{companionName, strconv.Itoa(len(files))}, &os.ProcAttr{
		Env:   []string{}, // nil would pass on that of this program
		Files: append(append([]*os.File{}, files...), spec, theirs, in.Mounts, in.Root),
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: terminal, UseCgroupFD: true, CgroupFD: int(in.Cgroup.Fd())},
	})
	theirs.Close()
	if err != nil {
		return nil, err
	}
	if err := readFailure(failure); err != nil {
		_ = process.Kill()
		_, waitErr := process.Wait()
		return nil, errors.Join(err, waitErr)
	}
	return process, nil
}

// companionWire is a Companion as JSON, which keeps texts that are not UTF-8 only as
// bytes.
type companionWire struct {
	Companion
	Path, Dir []byte
	Args, Env [][]byte
}

func (p Companion) wire() companionWire {
	w := companionWire{Companion: p, Path: []byte(p.Path), Dir: []byte(p.Dir)}
	for _, arg := range p.Args {
		w.Args = append(w.Args, []byte(arg))
	}
	for _, variable := range p.Env {
		w.Env = append(w.Env, []byte(variable))
	}
	return w
}

// companion returns what wire was called of.
func (w companionWire) companion() Companion {
	p := w.Companion
	p.Path, p.Dir = string(w.Path), string(w.Dir)
	for _, arg := range w.Args {
		p.Args = append(p.Args, string(arg))
	}
	for _, variable := range w.Env {
		p.Env = append(p.Env, string(variable))
	}
	return p
}

// spec returns a file in memory that says what the process is to become.
func (p Companion) spec() (*os.File, error) {
	text, err := json.Marshal(p.wire())
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate(companionName, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), companionName)
	if _, err := f.WriteAt(text, 0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// readFailure returns what a companion says has failed. Once it has executed its
// program it says no more.
func readFailure(from io.Reader) error {
	text, err := io.ReadAll(from)
	if err != nil || len(text) == 0 {
		return err
	}
	var failed CompanionError
	if err := json.Unmarshal(text, &failed); err != nil {
		return err
	}
	return &failed
}
