// Package pod keeps pods on disk.
//
// A pod is a directory named by its UUID. Its state is the place that this
// directory is in, together with whether anybody holds the exclusive flock(2)
// on it, and nothing else; every change of state is a rename. So any process
// may be killed at any instruction and what it leaves is a state too, which
// Collect knows how to clear away. Readers and writers need no server: a reader
// keeps the directory open and copes with its being renamed, a writer holds the
// lock.
package pod

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"rkt/internal/fault"
	"rkt/internal/linux"
)

// Sentinels of the package.
var (
	// ErrNotFound says that no pod has the given UUID or prefix.
	ErrNotFound = errors.New("no matches found")
	// ErrGone says that the pod was deleted while it was looked at.
	ErrGone = errors.New("the pod was deleted meanwhile")
	// ErrRunning says that a pod can't be removed because it runs.
	ErrRunning = errors.New("is currently running")
	// ErrPreparing says that a pod can't be removed because it is being made.
	ErrPreparing = errors.New("is currently being prepared")
	// ErrDeleting says that somebody else is already deleting the pod.
	ErrDeleting = errors.New("is currently being deleted")
	// ErrNotPrepared says that a pod is not there to be run.
	ErrNotPrepared = errors.New("is not prepared")
	// ErrNoStage1 says that the stage1 image a pod ran in is gone.
	ErrNoStage1 = errors.New("the pod's stage1 is gone")
)

const (
	dirMode  = 0o750
	fileMode = 0o640
)

// place is a directory that pods are in. A pod only ever moves to a later one,
// so who looks for it in this order can't miss it.
type place string

const (
	embryo        place = "embryo"
	prepare       place = "prepare"
	prepared      place = "prepared"
	run           place = "run"
	exitedGarbage place = "exited-garbage"
	garbage       place = "garbage"
)

// allPlaces returns the places in the order in which pods pass them.
func allPlaces() []place {
	return []place{embryo, prepare, prepared, run, exitedGarbage, garbage}
}

// visiblePlaces returns those whose pods users see and may name.
func visiblePlaces() []place { return []place{prepare, prepared, run, exitedGarbage} }

// Pods are all pods of one data directory.
type Pods struct {
	data string
	// IDRanges is where the host's pods take their ids from.
	IDRanges IDRanges
}

// In returns the pods below the data directory, which may not exist yet.
func In(dataDir string) *Pods { return &Pods{data: dataDir, IDRanges: idRanges} }

func (ps *Pods) placeDir(at place) string { return filepath.Join(ps.data, "pods", string(at)) }

func (ps *Pods) path(at place, uuid string) string { return filepath.Join(ps.placeDir(at), uuid) }

// Pod is one pod with its directory open. It must be closed; closing gives the
// lock back if this process had taken it.
type Pod struct {
	UUID string

	pods *Pods
	dir  *os.File // carries the lock
	root *os.Root // the same directory, for access to files
	at   place    // where the directory was seen last
	held bool     // this Pod has taken the lock
	// unsynced are files that were written and may not be durable yet.
	unsynced []*os.File
}

// open opens the pod's directory in the given place.
func (ps *Pods) open(at place, uuid string) (*Pod, error) {
	root, err := os.OpenRoot(ps.path(at, uuid))
	if err != nil {
		return nil, err
	}
	dir, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &Pod{UUID: uuid, pods: ps, dir: dir, root: root, at: at}, nil
}

// find opens the pod wherever it is among the places. It fails with
// ErrNotFound if it is in none.
func (ps *Pods) find(uuid string, places []place) (*Pod, error) {
	for _, at := range places {
		p, err := ps.open(at, uuid)
		if !errors.Is(err, os.ErrNotExist) {
			return p, err
		}
	}
	return nil, fmt.Errorf("%w for %q", ErrNotFound, uuid)
}

// Close lets go of the pod's directory and of the lock, unless another process
// has inherited it.
func (p *Pod) Close() error {
	for _, f := range p.unsynced {
		_ = f.Close() // nobody will read it
	}
	p.unsynced = nil
	return errors.Join(p.dir.Close(), p.root.Close())
}

// Path returns where the pod's directory was when it was last looked at.
func (p *Pod) Path() string { return p.pods.path(p.at, p.UUID) }

// Directory returns a path of the pod's directory that stays right when that is
// renamed. It is of use in this process only, and until Close.
func (p *Pod) Directory() string { return fmt.Sprintf("/proc/self/fd/%d", p.dir.Fd()) }

// locate finds out where the pod's directory is now.
func (p *Pod) locate() error {
	var self, there unix.Stat_t
	if err := unix.Fstat(int(p.dir.Fd()), &self); err != nil {
		return &os.PathError{Op: "stat", Path: p.Path(), Err: err}
	}
	for _, at := range allPlaces()[slices.Index(allPlaces(), p.at):] {
		path := p.pods.path(at, p.UUID)
		err := unix.Lstat(path, &there)
		switch {
		case err == nil && there.Dev == self.Dev && there.Ino == self.Ino:
			p.at = at
			return nil
		case err != nil && !errors.Is(err, unix.ENOENT):
			return &os.PathError{Op: "stat", Path: path, Err: err}
		}
	}
	return fmt.Errorf("pod %q: %w", p.UUID, ErrGone)
}

// moveTo renames the pod's directory to a later place and makes that durable.
// The caller holds the pod's lock.
func (p *Pod) moveTo(to place) error {
	if err := os.MkdirAll(p.pods.placeDir(to), dirMode); err != nil {
		return err
	}
	from := p.at
	fault.Point("pod." + string(to) + ".before")
	if err := os.Rename(p.pods.path(from, p.UUID), p.pods.path(to, p.UUID)); err != nil {
		return err
	}
	p.at = to
	fault.Point("pod." + string(to) + ".renamed")
	err := p.syncAll(p.pods.placeDir(to), p.pods.placeDir(from))
	fault.Point("pod." + string(to) + ".after")
	return err
}

// syncAll makes durable what WriteFile wrote, and what is in directories. A file
// system that is asked for all of it at once does it in one go.
func (p *Pod) syncAll(dirs ...string) error {
	var all errgroup.Group
	for _, f := range p.unsynced {
		all.Go(func() error { return errors.Join(f.Sync(), f.Close()) })
	}
	p.unsynced = nil
	for _, dir := range dirs {
		all.Go(func() error { return linux.SyncDir(dir) })
	}
	return all.Wait()
}
