package linux

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Attributes of a mount, to be combined.
const (
	ReadOnly = unix.MOUNT_ATTR_RDONLY
	NoSUID   = unix.MOUNT_ATTR_NOSUID
	NoDev    = unix.MOUNT_ATTR_NODEV
	NoExec   = unix.MOUNT_ATTR_NOEXEC
)

// Filesystem says what to mount.
type Filesystem struct {
	Type    string
	Source  string   // "" if the type has none
	Options []string // "flag" or "key=value"
	Attrs   int
}

// Mount makes a mount that is attached nowhere. Files can be made in it
// already. It goes away with the returned file unless it is attached.
func (fs Filesystem) Mount() (*os.File, error) {
	context, err := unix.Fsopen(fs.Type, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", fs.Type, os.NewSyscallError("fsopen", err))
	}
	defer unix.Close(context)
	if err := fs.configure(context); err != nil {
		return nil, fmt.Errorf("mount %s: %w", fs.Type, errors.Join(err, complaints(context)))
	}
	mount, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, fs.Attrs)
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", fs.Type, os.NewSyscallError("fsmount", err))
	}
	return os.NewFile(uintptr(mount), fs.Type), nil
}

func (fs Filesystem) configure(context int) error {
	if fs.Source != "" {
		if err := unix.FsconfigSetString(context, "source", fs.Source); err != nil {
			return fmt.Errorf("source %s: %w", fs.Source, err)
		}
	}
	if fs.Attrs&ReadOnly != 0 {
		if err := unix.FsconfigSetFlag(context, "ro"); err != nil {
			return fmt.Errorf("option ro: %w", err)
		}
	}
	for _, option := range fs.Options {
		key, value, hasValue := strings.Cut(option, "=")
		var err error
		if hasValue {
			err = unix.FsconfigSetString(context, key, value)
		} else {
			err = unix.FsconfigSetFlag(context, key)
		}
		if err != nil {
			return fmt.Errorf("option %s: %w", option, err)
		}
	}
	return os.NewSyscallError("fsconfig", unix.FsconfigCreate(context))
}

// complaints returns what the kernel wrote about a mount that failed.
func complaints(context int) error {
	var said []error
	for len(said) < 8 {
		var b [1024]byte
		n, err := unix.Read(context, b[:])
		if err != nil || n <= 0 {
			break
		}
		said = append(said, errors.New(strings.TrimSpace(string(b[:n]))))
	}
	return errors.Join(said...)
}

// Bind makes a mount of the file or directory f with the given attributes,
// attached nowhere.
func Bind(f *os.File, attrs int) (*os.File, error) {
	tree, err := unix.OpenTree(int(f.Fd()), "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", f.Name(), os.NewSyscallError("open_tree", err))
	}
	mount := os.NewFile(uintptr(tree), f.Name())
	if err := Restrict(mount, attrs); err != nil {
		return nil, errors.Join(err, mount.Close())
	}
	return mount, nil
}

// CopyTree makes a copy of the mount that f is the root of and of all below,
// attached nowhere. A file opened through the copy, as long as that is there,
// is known to /proc by its path from f.
func CopyTree(f *os.File) (*os.File, error) {
	const flags = unix.AT_EMPTY_PATH | unix.AT_RECURSIVE | unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC
	tree, err := unix.OpenTree(int(f.Fd()), "", flags)
	if err != nil {
		return nil, fmt.Errorf("copy mounts of %s: %w", f.Name(), os.NewSyscallError("open_tree", err))
	}
	return os.NewFile(uintptr(tree), f.Name()), nil
}

// Restrict adds attributes to the mount that f is the root of.
func Restrict(f *os.File, attrs int) error {
	if attrs == 0 {
		return nil
	}
	set := unix.MountAttr{Attr_set: uint64(attrs)}
	if err := unix.MountSetattr(int(f.Fd()), "", unix.AT_EMPTY_PATH, &set); err != nil {
		return fmt.Errorf("restrict mount of %s: %w", f.Name(), os.NewSyscallError("mount_setattr", err))
	}
	return nil
}

// MakePrivate keeps what is mounted on the mount that f is the root of from
// showing in other mount namespaces that have a copy of it.
func MakePrivate(f *os.File) error {
	private := unix.MountAttr{Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(int(f.Fd()), "", unix.AT_EMPTY_PATH, &private); err != nil {
		return fmt.Errorf("make mount of %s private: %w", f.Name(), os.NewSyscallError("mount_setattr", err))
	}
	return nil
}

// Attach attaches a mount to what target is open on, whatever its path is by
// now.
func Attach(mount, target *os.File) error {
	const flags = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH
	if err := unix.MoveMount(int(mount.Fd()), "", int(target.Fd()), "", flags); err != nil {
		return fmt.Errorf("attach %s to %s: %w", mount.Name(), target.Name(), os.NewSyscallError("move_mount", err))
	}
	return nil
}

// Unmount detaches the uppermost mount at path. The file system goes away when
// nobody uses it any more, which need not be now.
func Unmount(path string) error {
	return wrapPath("unmount", path, unix.Unmount(path, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH))
}

// SyncFilesystem writes out what the file system of f still holds in memory.
func SyncFilesystem(f *os.File) error {
	return wrapPath("syncfs", f.Name(), unix.Syncfs(int(f.Fd())))
}

// MakeReadOnly makes the whole file system at path read-only, wherever it is
// mounted, and writes it out. It fails while files are open for writing.
func MakeReadOnly(path string) error {
	return wrapPath("remount", path, unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
}
