package fly

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"rkt/internal/appc"
	"rkt/internal/linux"
	"rkt/internal/stage1"
)

// prepare mounts what the app sees besides its tree, in a mount namespace of this
// thread, and returns its root.
func prepare(app appc.RuntimeApp, args stage1.RunArgs) (linux.Root, error) {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return linux.Root{}, os.NewSyscallError("unshare", err)
	}
	// Mounts of the host's that come later show in the app, not the reverse.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return linux.Root{}, os.NewSyscallError("make mounts slaves", err)
	}
	root, err := linux.OpenRoot(rootOf(app))
	if err != nil {
		return root, fmt.Errorf("app's tree: %w", err)
	}
	for _, dir := range []string{"/dev", "/proc", "/sys"} {
		if err := showHostDir(root, dir); err != nil {
			return root, err
		}
	}
	if err := mountTmp(root); err != nil {
		return root, err
	}
	return root, placeNames(root, args.DNS)
}

// showHostDir shows a directory of the host's with all that is mounted below.
func showHostDir(root linux.Root, dir string) error {
	from, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer from.Close()
	tree, err := linux.CopyTree(from)
	if err != nil {
		return err
	}
	defer tree.Close()
	target, err := root.EnsureDir(dir, 0o755)
	if err != nil {
		return err
	}
	defer target.Close()
	return linux.Attach(tree, target)
}

func mountTmp(root linux.Root) error {
	tmpfs, err := linux.Filesystem{
		Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=1777"}, Attrs: linux.NoSUID | linux.NoDev,
	}.Mount()
	if err != nil {
		return err
	}
	defer tmpfs.Close()
	target, err := root.EnsureDir("/tmp", fs.ModeSticky|0o777)
	if err != nil {
		return err
	}
	defer target.Close()
	return linux.Attach(tmpfs, target)
}

// defaultHosts is for images that have no file of their own.
const defaultHosts = "127.0.0.1 localhost\n"

// placeNames gives the app the files that names are looked up in.
func placeNames(root linux.Root, mode stage1.DNSMode) error {
	var err error
	switch mode.Resolv {
	case stage1.DNSHost:
		err = showFile(root, "/etc/resolv.conf", "/etc/resolv.conf")
	case stage1.DNSStage0:
		err = showFile(root, stage1.ResolvConfFile, "/etc/resolv.conf")
	case stage1.DNSNone, stage1.DNSDefault:
	}
	if err != nil {
		return err
	}
	switch mode.Hosts {
	case stage1.DNSHost:
		return showFile(root, "/etc/hosts", "/etc/hosts")
	case stage1.DNSStage0:
		return showFile(root, stage1.HostsFile, "/etc/hosts")
	case stage1.DNSNone, stage1.DNSDefault:
	}
	return writeHosts(root)
}

func writeHosts(root linux.Root) error {
	etc, err := root.EnsureDir("/etc", 0o755)
	if err != nil {
		return err
	}
	defer etc.Close()
	f, err := root.Open("/etc/hosts", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(defaultHosts)
	return errors.Join(err, f.Close())
}

// showFile shows a file of the host's in the app's root, read-only.
func showFile(root linux.Root, from, at string) error {
	source, err := os.OpenFile(from, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer source.Close()
	bind, err := linux.Bind(source, linux.ReadOnly)
	if err != nil {
		return err
	}
	defer bind.Close()
	etc, err := root.EnsureDir("/etc", 0o755)
	if err != nil {
		return err
	}
	defer etc.Close()
	target, err := root.EnsureFile(at, 0o644)
	if err != nil {
		return err
	}
	defer target.Close()
	return linux.Attach(bind, target)
}
