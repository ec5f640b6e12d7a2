package linux

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// IsCompanion says whether this program was started to become a companion of
// another and has to call BecomeCompanion before it does anything else.
func IsCompanion() bool { return len(os.Args) == 2 && os.Args[0] == companionName }

// BecomeCompanion executes the program that Companion.Start was asked to start.
// It returns only if that fails, when whoever called that knows why.
func BecomeCompanion() {
	// All that follows concerns this thread, which becomes the program.
	runtime.LockOSThread()
	first, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return
	}
	open := func(i int) *os.File {
		unix.CloseOnExec(first + i)
		return os.NewFile(uintptr(first+i), "descriptor "+strconv.Itoa(first+i))
	}
	spec, failure, mounts, root := open(0), open(1), open(2), open(3)
	failed := become(spec, Surroundings{Mounts: mounts, Root: root})
	_ = json.NewEncoder(failure).Encode(failed) // nobody else is there to be told
}

// become returns only with a reason.
func become(spec io.Reader, in Surroundings) *CompanionError {
	var wire companionWire
	if err := json.NewDecoder(spec).Decode(&wire); err != nil {
		return &CompanionError{"read what to execute", unix.EINVAL}
	}
	p := wire.companion()
	for _, step := range []struct {
		name string
		do   func() error
	}{
		// In this program's own root, where /proc is the kernel's.
		{"set the OOM score", func() error { return setOOMScore(p.OOMScoreAdjust) }},
		{"join the app's mounts", func() error { return enterRoot(in) }},
		{"make a session keyring", leaveKeyring},
		{"drop capabilities", p.boundCapabilities},
		{"set user and groups", p.setCredentials},
		{"change to the working directory", func() error { return unix.Chdir(p.Dir) }},
		{"forbid new privileges", p.forbidPrivileges},
		{"execute", p.exec},
	} {
		if err := step.do(); err != nil {
			var errno syscall.Errno
			if !errors.As(err, &errno) {
				errno = unix.EINVAL
			}
			return &CompanionError{step.name, errno}
		}
	}
	return nil
}

func setOOMScore(score int) error {
	return os.WriteFile("/proc/self/oom_score_adj", strconv.AppendInt(nil, int64(score), 10), 0)
}

// leaveKeyring gives the calling thread a session keyring of its own. Where
// there are none, or a container forbids it, there is nothing to leave.
func leaveKeyring() error {
	const anonymous = 0
	_, _, errno := unix.RawSyscall(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, anonymous, 0)
	if errno == 0 || errno == unix.ENOSYS || errno == unix.EPERM {
		return nil
	}
	return errno
}

// enterRoot moves the calling thread into a mount namespace, and makes sure
// that its root directory is the one that is meant.
func enterRoot(in Surroundings) error {
	var want, have unix.Stat_t
	if err := unix.Fstat(int(in.Root.Fd()), &want); err != nil {
		return err
	}
	if err := JoinMounts(in.Mounts); err != nil {
		return err
	}
	if err := unix.Stat("/", &have); err != nil {
		return err
	}
	if want.Dev != have.Dev || want.Ino != have.Ino {
		return unix.EXDEV
	}
	return nil
}

// boundCapabilities takes all others from what the calling thread executes.
func (p Companion) boundCapabilities() error {
	for capability := uintptr(0); capability < 64 && !p.AllCapabilities; capability++ {
		if p.Capabilities&(1<<capability) != 0 {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			return nil // past the last one this kernel knows
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// setCredentials is about the calling thread alone, unlike what the standard
// library has for it.
func (p Companion) setCredentials() error {
	var first unsafe.Pointer
	if len(p.Groups) > 0 {
		first = unsafe.Pointer(&p.Groups[0])
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(p.Groups)), uintptr(first), 0); errno != 0 {
		return errno
	}
	gid, uid := uintptr(p.GID), uintptr(p.UID)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, gid, gid, gid); errno != 0 {
		return errno
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); errno != 0 {
		return errno
	}
	return nil
}

func (p Companion) forbidPrivileges() error {
	if !p.NoNewPrivileges {
		return nil
	}
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// exec puts the filters on the calling thread and executes the program, with no
// system call in between that they might withhold.
func (p Companion) exec() error {
	path, err := syscall.BytePtrFromString(p.Path)
	if err != nil {
		return err
	}
	args, err := syscall.SlicePtrFromStrings(p.Args)
	if err != nil {
		return err
	}
	env, err := syscall.SlicePtrFromStrings(p.Env)
	if err != nil {
		return err
	}
	// This one fails, but before that it takes back that the runtime has raised
	// the limit of open files.
	_ = syscall.Exec("", nil, nil)
	for _, f := range p.Filters {
		if err := f.Install(); err != nil {
			return err
		}
	}
	_, _, errno := unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(path)),
		uintptr(unsafe.Pointer(&args[0])), uintptr(unsafe.Pointer(&env[0])))
	return errno
}
