// Package store keeps images: the archives as they were fetched, named by
// their content, and what is made of them before use, disk images for apps and
// directories for stage1 images.
//
// Many processes use one store at once. Every change is a rename, every
// temporary file is locked by its maker, and what a killed process left is
// removed by the next one. An image is there if its record in the index is;
// the record is written last and removed first.
package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/errhint"
	"rkt/internal/image/archive"
	"rkt/internal/image/tempfile"
)

// Errors of the store. Each may come wrapped; use errors.Is.
var (
	// ErrNotFound means that no image has the id or name.
	ErrNotFound = errors.New("no image IDs found")
	// ErrIDTooShort means that an id has fewer than two hex digits.
	ErrIDTooShort = errors.New("image ID too short")
	// ErrAmbiguous means that several images' ids begin alike.
	ErrAmbiguous = errors.New("ambiguous image ID")
	// ErrDamaged means that stored bytes are not what they were.
	ErrDamaged = errors.New("damaged in the store")
	// ErrNoSpace means that the disk has too little room.
	ErrNoSpace = errors.New("not enough free disk space")
	// ErrMismatch means that a dependency is another image than the manifest
	// that names it says.
	ErrMismatch = errors.New("not the image that is asked for")
	// ErrCycle means that an image depends on itself.
	ErrCycle = errors.New("image depends on itself")
	// ErrTooDeep means that an image has more dependencies than can be.
	ErrTooDeep = errors.New("too many dependencies")
)

// Modes of what is created. The group of the data directory shares the store;
// dist/scripts/setup-data-dir.sh says which that is. Rendered disks are for root
// only. Trees can be reached, but not listed, because processes that have one as
// their root directory run under other uids.
const (
	dataDirMode = 0o750
	dirMode     = os.ModeSetgid | 0o770
	diskDirMode = 0o700
	treeDirMode = 0o711
	fileMode    = 0o660
)

// defaultReserve is how much of the disk is always left free.
const defaultReserve = 1 << 30

// Options are for tests and for hosts with wishes. The zero value is right for
// most.
type Options struct {
	// MaxSize is how many bytes an image may have to be taken, as it comes and
	// uncompressed; 0 if only the disk sets a limit. It is no matter to images
	// that are in the store.
	MaxSize int64
	// Reserve is how many bytes of the disk are left free, 1 GiB if 0.
	Reserve int64
}

// Store is an image store below a data directory.
type Store struct {
	dir     string // DATA/cas
	options Options
}

// Open opens the store below dataDir, an absolute path, and creates what is
// missing. It removes what killed processes left behind.
func Open(dataDir string) (*Store, error) { return OpenWith(dataDir, Options{}) }

// OpenWith is Open with options.
func OpenWith(dataDir string, options Options) (*Store, error) {
	if options.Reserve == 0 {
		options.Reserve = defaultReserve
	}
	s := &Store{dir: filepath.Join(dataDir, "cas"), options: options}
	if err := s.makeDirs(dataDir); err != nil {
		return nil, fmt.Errorf("open image store: %w", err)
	}
	if err := s.clean(); err != nil {
		return nil, fmt.Errorf("clean image store: %w", err)
	}
	return s, nil
}

// Close ends the use of the store.
func (s *Store) Close() error { return nil }

// Names of the directories below cas.
const (
	blobDir     = "blob"
	manifestDir = "imageManifest"
	indexDir    = "index"
	lockDir     = "imagelocks"
	treeLockDir = "treestorelocks"
	tmpDir      = "tmp"
	diskDir     = "disk"
	treeDir     = "tree"
	remoteDir   = "remote"
)

// signatureExtension is added to the name of a blob for that of its signature.
const signatureExtension = ".asc"

func (s *Store) makeDirs(dataDir string) error {
	if err := os.MkdirAll(dataDir, dataDirMode); err != nil {
		return err
	}
	for _, d := range []struct {
		name string
		mode os.FileMode
	}{
		{"", dirMode},
		{blobDir, dirMode},
		{manifestDir, dirMode},
		{indexDir, dirMode},
		{lockDir, dirMode},
		{treeLockDir, diskDirMode},
		{tmpDir, dirMode},
		{remoteDir, dirMode},
		{diskDir, diskDirMode},
		{treeDir, treeDirMode},
	} {
		if err := mkdir(filepath.Join(s.dir, d.name), d.mode); err != nil {
			return err
		}
	}
	return nil
}

// mkdir makes a directory that may be there, with a mode whatever the umask is.
func mkdir(path string, mode os.FileMode) error {
	err := os.Mkdir(path, mode.Perm())
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// clean removes what killed processes left. What may not be looked at is left
// alone: members of the group may use the store without rendering.
func (s *Store) clean() error {
	for _, dir := range []string{tmpDir, diskDir, treeDir} {
		err := tempfile.Sweep(filepath.Join(s.dir, dir))
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	if err := s.sweepDownloads(time.Now()); err != nil {
		return err
	}
	if err := s.sweepLocks(treeLockDir, func(string) error { return nil }); err != nil {
		return err
	}
	return s.sweepLocks(lockDir, s.recover)
}

// shard returns the path of an image's file below one of the directories that
// are divided by the first digits of the id.
func (s *Store) shard(dir, id string) string {
	digits := strings.TrimPrefix(id, archive.IDPrefix)
	return filepath.Join(s.dir, dir, "sha512", digits[:2], id)
}

func (s *Store) blob(id string) string       { return s.shard(blobDir, id) }
func (s *Store) signature(id string) string  { return s.shard(blobDir, id) + signatureExtension }
func (s *Store) manifest(id string) string   { return s.shard(manifestDir, id) }
func (s *Store) recordFile(id string) string { return filepath.Join(s.dir, indexDir, id) }
func (s *Store) temporary() string           { return filepath.Join(s.dir, tmpDir) }

// limits returns what a stored archive may hold: no more than what the disk has
// room for once it is rendered.
func (s *Store) limits() (archive.Limits, error) {
	free, err := s.free()
	return archive.Limits{Size: free}, err
}

// importLimits returns what an archive may hold to be taken.
func (s *Store) importLimits() (archive.Limits, error) {
	room, err := s.room(0)
	return archive.Limits{Size: room}, err
}

// room returns how many bytes more may come of an image of which there are some.
func (s *Store) room(there int64) (int64, error) {
	free, err := s.free()
	if limit := s.options.MaxSize; limit > 0 {
		free = min(free, max(limit-there, 1))
	}
	return free, err
}

// free returns how many bytes may still be written, at least one.
func (s *Store) free() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: s.dir, Err: err}
	}
	return max(int64(st.Bavail)*st.Bsize-s.options.Reserve, 1), nil
}

// explainImport is explainSpace for an image that is to be taken.
func (s *Store) explainImport(err error) error {
	limit := s.options.MaxSize
	if free, freeErr := s.free(); errors.Is(err, archive.ErrTooLarge) && limit > 0 && limit < free && freeErr == nil {
		return errhint.With(fmt.Errorf("%w: it has more than the %d bytes that images may have", archive.ErrTooLarge, limit),
			`"maxSize" in the configuration's images.d says so`)
	}
	return s.explainSpace(err)
}

// explainSpace gives errors that come from a full disk, or from the care to
// not fill it, their class and a hint.
func (s *Store) explainSpace(err error) error {
	if errors.Is(err, archive.ErrTooLarge) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return errhint.With(fmt.Errorf("%w: %w", ErrNoSpace, err),
			fmt.Sprintf("free some space in %s, where %d MiB are left unused, or remove images with \"rkt image rm\"",
				s.dir, s.options.Reserve>>20))
	}
	return err
}
