package linux

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Overlay is a tree that shows a lower one and takes what is written. The paths
// must have neither colons nor commas; they may be relative.
type Overlay struct {
	Lower       string
	Upper, Work string // made if missing, on one file system
	Attrs       int
	Options     []string // besides the layers
}

// Mount makes the mount, attached nowhere. Its root has the owner and mode of
// the lower one's. The empty directory that ext4 has for its own repair is left
// out: what the file system was made of knows nothing of it.
func (o Overlay) Mount() (*os.File, error) {
	for _, dir := range []string{o.Upper, o.Work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if err := copyOwner(o.Lower, o.Upper); err != nil {
		return nil, err
	}
	if err := hideLostAndFound(o.Lower, o.Upper); err != nil {
		return nil, err
	}
	layers := []string{"lowerdir=" + o.Lower, "upperdir=" + o.Upper, "workdir=" + o.Work}
	return Filesystem{Type: "overlay", Source: "overlay", Options: append(layers, o.Options...), Attrs: o.Attrs}.Mount()
}

func hideLostAndFound(lower, upper string) error {
	const name = "lost+found"
	entries, err := os.ReadDir(filepath.Join(lower, name))
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
// mode of the lower one's.
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
