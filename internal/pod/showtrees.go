package pod

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"rkt/internal/fault"
	"rkt/internal/linux"
	"rkt/internal/stage1"
	"rkt/internal/treecopy"
)

// Where the layers of trees are, in the pod's directory.
const (
	layersDir   = "overlay"
	stage1Layer = "stage1"
)

// ShowTrees shows a stage1 with the app format "tree" what it expects: its own
// tree, from stage1Root, at stage1/rootfs, and that of each app at
// stage1/rootfs/opt/stage2/APP/rootfs, all of them writable. What is written
// stays in the pod's directory: an overlay's layer, or copies of all if the pod was
// prepared without overlays. The working directory is the pod's.
//
// The mounts are in a mount namespace of the calling thread, to which the
// goroutine is locked from then on: it must go on to execute the stage1, or call
// unmount. They end with the pod's last process, so nothing of them is left
// whatever is killed.
func ShowTrees(stage1Root string, apps []string) (unmount func(), err error) {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return nil, os.NewSyscallError("unshare", err)
	}
	// What the host mounts from now on shows here, but not the other way round.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return nil, os.NewSyscallError("make mounts slaves", err)
	}
	t := trees{copies: true}
	if _, err := os.Lstat(stage1.OverlayFile); err == nil {
		t.copies = false
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	err = t.showStage1(stage1Root)
	for _, app := range apps {
		if err == nil {
			err = t.showApp(app)
		}
	}
	if err != nil {
		t.unmount()
		return nil, err
	}
	return t.unmount, nil
}

// trees are mounts of a pod, in their order.
type trees struct {
	copies  bool // rather than overlays
	mounted []string
}

// unmount detaches everything, as far as it is there.
func (t *trees) unmount() {
	for len(t.mounted) > 0 {
		last := len(t.mounted) - 1
		_ = linux.Unmount(t.mounted[last])
		t.mounted = t.mounted[:last]
	}
}

const stage1RootFS = "stage1/rootfs"

// showStage1 mounts the stage1's tree. What a stage1 tells rkt below rkt/ goes to
// the pod's directory, where everybody sees it.
func (t *trees) showStage1(root string) error {
	dir, err := os.OpenFile(root, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	told, err := os.OpenFile(filepath.Dir(stage1.StatusDir), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer told.Close()
	lower, err := linux.Bind(dir, linux.ReadOnly)
	if err != nil {
		return err
	}
	names, err := readNames()
	if err != nil {
		return errors.Join(err, lower.Close())
	}
	if err := t.layer(stage1Layer, lower, stage1RootFS); err != nil {
		return err
	}
	if err := names.write(); err != nil {
		return err
	}
	bind, err := linux.Bind(told, 0)
	if err != nil {
		return err
	}
	return t.attach(bind, filepath.Dir(stage1.StatusDir))
}

// names are the files of a stage1 in which apps look up names, as rkt wrote them
// to where the stage1's tree will hide them.
type names map[string][]byte

func readNames() (names, error) {
	n := names{}
	for _, path := range []string{stage1.ResolvConfFile, stage1.HostsFile} {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		n[path] = text
	}
	return n, nil
}

func (n names) write() error {
	for path, text := range n {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil { //nolint:gosec // apps read them
			return err
		}
	}
	return nil
}

// showApp mounts an app's image and an overlay on it.
func (t *trees) showApp(name string) error {
	text, err := os.ReadFile(stage1.AppDiskFile(name))
	if err != nil {
		return err
	}
	var disk stage1.AppDisk
	if err := json.Unmarshal(text, &disk); err != nil {
		return fmt.Errorf("%s: %w", stage1.AppDiskFile(name), err)
	}
	var options []string
	if disk.Filesystem == "ext4" {
		options = []string{"noload"} // a journal could not be replayed anyway
	}
	image, err := linux.MountImage(disk.Path, disk.Filesystem, options)
	if err != nil {
		return err
	}
	dir := filepath.Join(stage1RootFS, "opt/stage2", name)
	if err := t.layer(filepath.Join("apps", name), image, filepath.Join(dir, "rootfs")); err != nil {
		return err
	}
	if err := linkMounts(filepath.Join(dir, "rootfs")); err != nil {
		return err
	}
	return copyFile(stage1.AppManifestFile(name), filepath.Join(dir, "manifest"))
}

// layer mounts an overlay at a path, on a lower mount, which is given away; or a
// copy of that.
func (t *trees) layer(name string, lower *os.File, at string) error {
	dir := filepath.Join(layersDir, name)
	if t.copies {
		return t.copyOf(lower, filepath.Join(dir, "copy"), at)
	}
	below := filepath.Join(dir, "lower")
	if err := t.attach(lower, below); err != nil {
		return err
	}
	mount, err := linux.Overlay{
		Lower: below, Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work"),
	}.Mount()
	if err != nil {
		return err
	}
	return t.attach(mount, at)
}

// copyOf copies a mount, which is given away, and mounts the copy at a path.
func (t *trees) copyOf(mount *os.File, to, at string) error {
	defer mount.Close()
	fault.Point("run.copy.before")
	if err := treecopy.Copy(to, mount); err != nil {
		return err
	}
	fault.Point("run.copy.after")
	dir, err := os.OpenFile(to, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	bind, err := linux.Bind(dir, 0)
	if err != nil {
		return err
	}
	return t.attach(bind, at)
}

// attach attaches a mount at a directory, made if missing, and gives it away.
func (t *trees) attach(mount *os.File, at string) error {
	defer mount.Close()
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	target, err := os.OpenFile(at, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer target.Close()
	fault.Point("run.tree.before-attach")
	if err := linux.Attach(mount, target); err != nil {
		return err
	}
	t.mounted = append(t.mounted, at)
	fault.Point("run.tree.after-attach")
	return nil
}

// linkMounts gives an app that has an /etc but no list of mounts the kernel's.
func linkMounts(root string) error {
	tree, err := linux.OpenRoot(root)
	if err != nil {
		return err
	}
	defer tree.Close()
	etc, err := tree.Open("etc", unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil // none, or something else: left alone
	}
	in := linux.RootAt(etc)
	defer in.Close()
	if err := in.Symlink("../proc/self/mounts", "mtab"); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
