package approot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rkt/internal/linux"
)

// layers returns the image with a writable layer on top, to be mounted. Device
// nodes of either don't work: those an app may use are in /dev.
func (b *Builder) layers(image, name string) (linux.Filesystem, error) {
	upper, work := filepath.Join(b.dirs.Scratch, name, "upper"), filepath.Join(b.dirs.Scratch, name, "work")
	for _, dir := range []string{upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return linux.Filesystem{}, err
		}
	}
	if err := copyOwner(image, upper); err != nil {
		return linux.Filesystem{}, err
	}
	if err := hideLostAndFound(image, upper); err != nil {
		return linux.Filesystem{}, err
	}
	return linux.Filesystem{
		Type:    "overlay",
		Source:  "overlay",
		Options: []string{"lowerdir=" + image, "upperdir=" + upper, "workdir=" + work},
		Attrs:   linux.NoDev,
	}, nil
}

// hideLostAndFound hides the directory that a file system has for its own
// repair, and that its image knows nothing of, if it is empty.
func hideLostAndFound(image, upper string) error {
	const name = "lost+found"
	entries, err := os.ReadDir(filepath.Join(image, name))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || len(entries) > 0 {
		return nil
	}
	if err != nil {
		return err
	}
	// overlayfs takes this device for "there is no such file".
	err = unix.Mknod(filepath.Join(upper, name), unix.S_IFCHR, 0)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("hide %s: %w", name, err)
	}
	return nil
}

// copyOwner gives the upper layer's root, which is what shows, the owner and
// mode of the image's.
func copyOwner(from, to string) error {
	var st unix.Stat_t
	if err := unix.Lstat(from, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: from, Err: err}
	}
	if err := os.Chown(to, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := unix.Chmod(to, st.Mode&0o7777); err != nil {
		return &fs.PathError{Op: "chmod", Path: to, Err: err}
	}
	return nil
}
