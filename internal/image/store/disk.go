package store

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"rkt/internal/appc"
	"rkt/internal/image/archive"
	"rkt/internal/image/render"
	"rkt/internal/image/tempfile"
	"rkt/internal/image/verity"
	"rkt/internal/linux"
)

// Disk is an image rendered to a file system in a file. The file is shared:
// attach it read-only.
type Disk struct {
	ID         string // what it holds; goes into the pod's treeStoreID
	Path       string // absolute
	Filesystem string // "ext4"
	Size       int64
	SHA256     string // of the whole file, lower-case hex
	// Seal lets a kernel check each block when it is read.
	Seal verity.Seal
	// Checked says how SHA256 was made sure of by this call: CheckedByHash or
	// CheckedByRecord.
	Checked string
}

// Values of Disk.Checked.
const (
	CheckedByHash   = "hash"   // the file was read and its digest compared
	CheckedByRecord = "record" // the file was not touched since it was read
)

// Names in the directory of a disk.
const (
	diskFile       = "image.ext4"
	diskRecordFile = "record.json"
)

const renderedPrefix = "deps-"

// renderedID returns the name of what is made of the parts of an image by a
// maker of the given version. It names the content, because the same parts, put
// together in the same way, and the same maker give the same bytes.
func renderedID(version string, parts []*part) string {
	digest := sha512.New()
	fmt.Fprintln(digest, version)
	for _, p := range parts {
		fmt.Fprint(digest, p.record.ID)
		for _, user := range p.users {
			fmt.Fprint(digest, " ", user.index)
		}
		fmt.Fprintln(digest)
	}
	return renderedPrefix + archive.ID(digest.Sum(nil))
}

func diskID(parts []*part) string { return renderedID(render.Version, parts) }

func (s *Store) diskPath(id string) string { return filepath.Join(s.dir, diskDir, id) }

// diskRecord is what is known of a disk's file, written by root only. As long
// as the file has the inode, size and times of the record, it has its digest.
type diskRecord struct {
	Version int         `json:"version"`
	Images  []string    `json:"images"`
	SHA256  string      `json:"sha256"`
	Seal    verity.Seal `json:"verity"`
	Size    int64       `json:"size"`
	Inode   uint64      `json:"inode"`
	Mtime   int64       `json:"mtimeNanoseconds"`
	Ctime   int64       `json:"ctimeNanoseconds"`
}

// note fills in what identifies the file's state.
func (r *diskRecord) note(info os.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("the system does not tell inodes")
	}
	r.Size, r.Inode, r.Mtime, r.Ctime = st.Size, st.Ino, st.Mtim.Nano(), st.Ctim.Nano()
	return nil
}

// Disk returns the disk of the image with the given whole id, made of it and
// its dependencies. The first call renders it; each call checks that it is what
// was rendered, and renders it again if it is not.
func (s *Store) Disk(ctx context.Context, id string) (Disk, error) {
	parts, err := s.renderable(id)
	if err != nil {
		return Disk{}, err
	}
	if err := s.touchAll(parts); err != nil {
		return Disk{}, err
	}
	path := s.diskPath(diskID(parts))
	if d, err := s.checkDisk(path, readNever); err == nil {
		return d, nil
	}
	l, err := s.lock(ctx, treeLockDir, filepath.Base(path))
	if err != nil {
		return Disk{}, err
	}
	defer l.release()
	d, err := s.checkDisk(path, readIfTouched)
	if err == nil {
		return d, nil
	}
	if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrDamaged) {
		return Disk{}, err
	}
	return s.renderAgain(ctx, path, parts)
}

// RenderedDisk returns the disk with the given ID, which was rendered before, if
// it still is what it was: ErrNotFound or ErrDamaged if not.
func (s *Store) RenderedDisk(ctx context.Context, id string) (Disk, error) {
	if !strings.HasPrefix(id, renderedPrefix) || id != filepath.Base(id) {
		return Disk{}, fmt.Errorf("%q names no rendered image: %w", id, ErrNotFound)
	}
	if d, err := s.checkDisk(s.diskPath(id), readNever); err == nil {
		return d, nil
	}
	l, err := s.lock(ctx, treeLockDir, id)
	if err != nil {
		return Disk{}, err
	}
	defer l.release()
	return s.checkDisk(s.diskPath(id), readIfTouched)
}

// renderAgain makes the disk of the parts, whose lock is held.
func (s *Store) renderAgain(ctx context.Context, path string, parts []*part) (Disk, error) {
	name := parts[len(parts)-1].record.Name
	if err := s.renderDisk(ctx, path, parts); err != nil {
		return Disk{}, fmt.Errorf("render image %q: %w", name, s.explainSpace(explainLayer(parts, err)))
	}
	d, err := s.checkDisk(path, readNever)
	if err != nil {
		return Disk{}, err
	}
	d.Checked = CheckedByHash // it was read to write the record
	return d, nil
}

// renderable returns the parts of an image that something can be made of.
func (s *Store) renderable(id string) ([]*part, error) {
	id = appc.Hash(id).Key()
	r, err := s.readRecord(id)
	if err != nil {
		return nil, fmt.Errorf("image %q: %w", id, err)
	}
	m, _, err := s.readManifest(r)
	if err != nil {
		return nil, fmt.Errorf("image %q: %w", id, err)
	}
	return s.parts(s.catalog(), r, m)
}

// touchAll notes that all parts of an image are used now.
func (s *Store) touchAll(parts []*part) error {
	for _, p := range parts {
		if err := s.touch(p.record.ID); err != nil {
			return err
		}
	}
	return nil
}

// reading says when checkDisk reads the file.
type reading int

const (
	readNever     reading = iota // a file that was touched counts as damaged
	readIfTouched                // a file that was touched may still be good
	readAlways
)

// checkDisk returns the disk at path if it is what its record says: ErrNotFound
// or ErrDamaged if not. A file that was touched and found good gets a new
// record.
func (s *Store) checkDisk(path string, read reading) (Disk, error) {
	var noted diskRecord
	if err := readDiskRecord(path, &noted); err != nil {
		return Disk{}, err
	}
	d := Disk{
		ID: filepath.Base(path), Path: filepath.Join(path, diskFile), Filesystem: render.Filesystem,
		Size: noted.Size, SHA256: noted.SHA256, Seal: noted.Seal, Checked: CheckedByRecord,
	}
	f, err := os.Open(d.Path)
	if err != nil {
		return Disk{}, fmt.Errorf("disk %s: %w: %w", path, ErrDamaged, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Disk{}, err
	}
	now := noted
	if err := now.note(info); err != nil {
		return Disk{}, err
	}
	same := sameDisk(now, noted)
	if same && read != readAlways {
		return d, nil
	}
	if read == readNever || now.Size != noted.Size {
		return Disk{}, fmt.Errorf("disk %s: %w", path, ErrDamaged)
	}
	sum, err := digestOf(f)
	if err != nil {
		return Disk{}, err
	}
	if sum != noted.SHA256 {
		return Disk{}, fmt.Errorf("disk %s: %w: its digest is another", path, ErrDamaged)
	}
	d.Checked = CheckedByHash
	if same {
		return d, nil
	}
	return d, writeDiskRecord(path, &now)
}

// readDiskRecord reads the record of the disk at path: ErrNotFound, ErrDamaged.
func readDiskRecord(path string, r *diskRecord) error {
	b, err := os.ReadFile(filepath.Join(path, diskRecordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, r); err != nil || r.Version != recordVersion {
		return fmt.Errorf("disk %s: %w", path, ErrDamaged)
	}
	return nil
}

// sameDisk says whether two records are of the same state of a file.
func sameDisk(a, b diskRecord) bool {
	return a.Size == b.Size && a.Inode == b.Inode && a.Mtime == b.Mtime && a.Ctime == b.Ctime
}

func digestOf(f *os.File) (string, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	digest := sha256.New()
	if _, err := io.Copy(digest, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

// renderDisk makes the disk of an image's parts and puts it at path, in place
// of one that is damaged.
func (s *Store) renderDisk(ctx context.Context, path string, parts []*part) error {
	limits, err := s.limits()
	if err != nil {
		return err
	}
	d, err := s.newDraft()
	if err != nil {
		return err
	}
	defer d.discard()
	if err := render.Ext4(ctx, d.file, s.layers(ctx, parts), limits); err != nil {
		return err
	}
	if err := d.seal(); err != nil {
		return err
	}
	return s.placeDraft(d, path, parts)
}

func writeDiskRecord(dir string, r *diskRecord) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := tempfile.Sweep(dir); err != nil {
		return err
	}
	tmp, err := tempfile.Create(dir)
	if err != nil {
		return err
	}
	defer tmp.Discard()
	if _, err := tmp.File.Write(append(b, '\n')); err != nil {
		return err
	}
	return tmp.Commit(filepath.Join(dir, diskRecordFile), "store.disk-record")
}

// replaceDir gives a finished directory its name, after what had the name is
// out of the way. The lock of the name is held.
func (s *Store) replaceDir(tmp *tempfile.Temp, path, point string) error {
	if _, err := os.Lstat(path); err == nil {
		old, err := moveAway(path, point+"-damaged")
		if err != nil {
			return err
		}
		defer old.Discard()
	}
	if err := linux.SyncDir(tmp.Path()); err != nil {
		return err
	}
	return tmp.Commit(path, point)
}
