package linux

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// UserNamespace makes a user namespace in which the ids from 0 on are count ids
// of this one from first on. It has no process and serves to shift the owners of
// mounts, see Shift; it goes away with the returned file and those.
func UserNamespace(first, count uint32) (*os.File, error) {
	// Who traces a process waits for it on the same thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: int(first), Size: int(count)}}
	// It stops before its first instruction, and never runs.
	process, err := os.StartProcess("/proc/self/exe", nil, &os.ProcAttr{Sys: &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids,
		Ptrace: true, Pdeathsig: unix.SIGKILL,
	}})
	if err != nil {
		return nil, fmt.Errorf("make a user namespace: %w", err)
	}
	namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", process.Pid))
	_ = process.Kill()
	if _, waitErr := process.Wait(); waitErr != nil && err == nil {
		err = errors.Join(waitErr, namespace.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("make a user namespace: %w", err)
	}
	return namespace, nil
}

// Shift lets the mount that f is the root of, which is attached nowhere and was
// never shifted, show owners as a user namespace has them: what belongs to an id
// belongs to the one of the host's that stands for it there. What is written is
// shifted back. It fails for file systems whose mounts can't do that.
func Shift(f, namespace *os.File) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(namespace.Fd())}
	if err := unix.MountSetattr(int(f.Fd()), "", unix.AT_EMPTY_PATH, &attr); err != nil {
		err = os.NewSyscallError("mount_setattr", err)
		if errors.Is(err, unix.EINVAL) {
			err = fmt.Errorf("this kernel can't do so with its file system: %w", err)
		}
		return fmt.Errorf("shift the owners of %s: %w", f.Name(), err)
	}
	return nil
}

// OwnUsers tells whether this program is in another user namespace than the first
// one, which has all ids. Source: user_namespaces(7), "uid_map".
func OwnUsers() (bool, error) {
	ids, err := os.ReadFile("/proc/self/uid_map")
	if errors.Is(err, os.ErrNotExist) {
		return false, nil // this kernel has none
	}
	var inside, outside, count uint64
	if err == nil {
		_, err = fmt.Sscan(string(ids), &inside, &outside, &count)
	}
	if err != nil {
		return false, fmt.Errorf("read the ids of this user namespace: %w", err)
	}
	return inside != 0 || outside != 0 || count != 1<<32-1, nil
}
