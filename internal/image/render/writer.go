package render

import (
	"archive/tar"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"rkt/internal/image/archive"
)

// Modes of directories that the image does not describe.
const (
	plainDir  = 0o755
	stickyDir = 0o1777
)

// mountPoints returns the directories that a system wants to mount on. Without
// them it would make them in the writable layer, where they show in exports.
func mountPoints() []string { return []string{"dev", "etc", "proc", "run", "sys", "tmp"} }

// mayBeLink says which of the mount points may be symbolic links, because
// nothing but files is put there.
func mayBeLink(name string) bool { return name == "etc" || name == "run" || name == "tmp" }

// maxXattrs is how many extended attributes of one file the converter sorts as
// the kernel wants them. Of more, the kernel would not find some.
const maxXattrs = 12

// lostAndFound is a directory that every ext4 has.
const lostAndFound = "lost+found"

// writer writes the archive that becomes a disk: each directory before what is
// in it, everything in the form that the converter understands.
type writer struct {
	tar    *tar.Writer
	dirs   map[string]bool // directories written so far
	top    map[string]byte // types of the entries in the root directory
	buffer []byte          // for copying
}

const bufferSize = 128 << 10

func newWriter(to io.Writer) *writer {
	return &writer{
		tar: tar.NewWriter(to), dirs: map[string]bool{".": true}, top: make(map[string]byte),
		buffer: make([]byte, bufferSize),
	}
}

// add writes one entry under name, a clean path, with data from r.
func (w *writer) add(name string, h *tar.Header, r io.Reader) error {
	if err := w.addParents(name); err != nil {
		return err
	}
	out := *h
	out.Name = name
	out.ModTime = diskTime(h.ModTime)
	out.AccessTime, out.ChangeTime = out.ModTime, out.ModTime
	if h.Size > maxFile {
		return fmt.Errorf("%w: %q is larger than %d GiB", ErrUnsupported, name, maxFile>>30)
	}
	if err := convertXattrs(&out, h); err != nil {
		return fmt.Errorf("%w: %q: %w", ErrUnsupported, name, err)
	}
	if isDir(h) {
		w.dirs[name] = true
	}
	if !strings.Contains(name, "/") && name != "." {
		w.top[name] = h.Typeflag
	}
	if err := w.tar.WriteHeader(&out); err != nil {
		return fmt.Errorf("%w: %q: %w", ErrUnsupported, name, err)
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	_, err := io.CopyBuffer(w.tar, r, w.buffer)
	return err
}

// addParents writes the directories on the way to name that no entry has named
// so far. An entry that comes later changes what it says about them.
func (w *writer) addParents(name string) error {
	parent := path.Dir(name)
	if w.dirs[parent] {
		return nil
	}
	return w.addDir(parent, plainDir)
}

func (w *writer) addDir(name string, mode int64) error {
	return w.add(name, dirHeader(mode), nil)
}

// dirHeader describes a directory that no image does.
func dirHeader(mode int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeDir, Mode: mode, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
}

// close adds the mount points and ends the archive.
func (w *writer) close() error {
	if kind, there := w.top[lostAndFound]; there && kind != tar.TypeDir {
		return fmt.Errorf("%w: \"/%s\" is not a directory", ErrUnsupported, lostAndFound)
	}
	for _, name := range mountPoints() {
		kind, there := w.top[name]
		switch {
		case there && kind == tar.TypeDir, there && kind == tar.TypeSymlink && mayBeLink(name):
		case there:
			return fmt.Errorf("%w: \"/%s\" is not a directory, and something has to be mounted there", ErrUnsupported, name)
		default:
			mode := int64(plainDir)
			if name == "tmp" {
				mode = stickyDir
			}
			if err := w.addDir(name, mode); err != nil {
				return err
			}
		}
	}
	return w.tar.Close()
}

// diskTime returns the time that makes the converter write t to the disk. An
// ext4 time has a signed 32-bit number of seconds and two bits that say how
// often 2^32 is added to it, while the converter writes the lower 34 bits of
// the time that it is given. Times that don't fit become the nearest that do.
func diskTime(t time.Time) time.Time {
	const first, last = -1 << 31, 1<<33 + 1<<31 - 1
	seconds := min(max(t.Unix(), first), last)
	low := int64(int32(seconds)) //nolint:gosec // the lower half is what is wanted
	epoch := (seconds - low) >> 32
	return time.Unix(low&0xffffffff|epoch<<32, int64(t.Nanosecond()))
}

// convertXattrs gives out the extended attributes of h in the form that they
// have on a disk.
func convertXattrs(out, h *tar.Header) error {
	out.PAXRecords = nil
	xattrs := archive.Xattrs(h)
	if len(xattrs) > maxXattrs {
		return fmt.Errorf("it has more than %d extended attributes", maxXattrs)
	}
	for name, value := range xattrs {
		switch {
		case strings.HasPrefix(name, "trusted.overlay."):
			// They are orders to the host's or guest's overlay, not data.
		case name == aclAccess || name == aclDefault:
			acl, err := diskACL(value)
			if err != nil {
				return err
			}
			archive.SetXattr(out, name, acl)
		case strings.HasPrefix(name, "user."), strings.HasPrefix(name, "security."), strings.HasPrefix(name, "trusted."):
			archive.SetXattr(out, name, value)
		default:
			// No Linux file system has it.
		}
	}
	return nil
}
