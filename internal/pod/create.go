package pod

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"rkt/internal/fault"
	"rkt/internal/linux"
)

// createdFile is empty; its modification time is when the pod was made.
const createdFile = "pod-created"

// Create makes a pod that is being prepared. This process holds its lock.
func (ps *Pods) Create() (*Pod, error) {
	// All of them, so that a full disk can't keep a pod from being discarded.
	for _, at := range allPlaces() {
		if err := os.MkdirAll(ps.placeDir(at), dirMode); err != nil {
			return nil, err
		}
	}
	p, err := ps.createEmbryo()
	if err != nil {
		return nil, err
	}
	err = p.WriteFile(createdFile, nil)
	if err == nil {
		err = p.moveTo(prepare)
	}
	if err != nil {
		return nil, errors.Join(err, p.Discard())
	}
	return p, nil
}

// createEmbryo makes a locked pod in the first place. Between the making and
// the locking a collector may take the directory for one that was left behind,
// and remove it; then the next try makes another.
func (ps *Pods) createEmbryo() (*Pod, error) {
	for {
		id, err := uuid.NewRandom()
		if err != nil {
			return nil, err
		}
		fault.Point("pod.embryo.before")
		if err := os.Mkdir(ps.path(embryo, id.String()), dirMode); err != nil {
			return nil, err
		}
		fault.Point("pod.embryo.made")
		p, err := ps.open(embryo, id.String())
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := linux.LockExclusive(p.dir); err != nil {
			return nil, errors.Join(err, p.Close())
		}
		p.held = true
		fault.Point("pod.embryo.locked")
		err = p.locate()
		if err == nil && p.at == embryo {
			return p, nil
		}
		if err := errors.Join(p.Close(), unlessGone(err)); err != nil {
			return nil, err
		}
	}
}

func unlessGone(err error) error {
	if errors.Is(err, ErrGone) {
		return nil
	}
	return err
}

// WriteFile writes a file of a pod that is being prepared; missing directories
// on the way are made. It is not written at one stroke, and durable only when
// the pod moves on: nobody reads it before.
func (p *Pod) WriteFile(name string, data []byte) error {
	if err := p.MkdirAll(filepath.Dir(name)); err != nil {
		return err
	}
	f, err := p.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	p.unsynced = append(p.unsynced, f)
	_, err = f.Write(data)
	return err
}

// MkdirAll makes a directory in the pod, with its parents.
func (p *Pod) MkdirAll(name string) error { return p.root.MkdirAll(name, dirMode) }

// Park moves a pod that is completely prepared to where it waits to be run, and
// lets go of it.
func (p *Pod) Park() error {
	if err := errors.Join(p.syncAll(), linux.SyncFilesystem(p.dir)); err != nil {
		return err
	}
	if err := p.moveTo(prepared); err != nil {
		return err
	}
	return p.Close()
}

// Claim takes a prepared pod for being started, unless it is not prepared or
// somebody else has taken it: ErrNotPrepared.
func (p *Pod) Claim() error {
	ok, err := p.claim()
	if err != nil {
		return err
	}
	if !ok {
		return ErrNotPrepared
	}
	if err := p.locate(); err != nil {
		return err
	}
	if p.at != prepared {
		return ErrNotPrepared
	}
	return nil
}

// Start moves a prepared or just prepared pod to where pods run. The pod counts
// as running from then on, until the lock is free. Its files are durable when this
// returns, not before it has moved: if the host fails meanwhile, nothing of the pod
// has happened that they would be needed for.
func (p *Pod) Start() error {
	if p.at != prepare && p.at != prepared {
		return fmt.Errorf("pod %q: cannot be started from %q", p.UUID, p.at)
	}
	return p.moveTo(run)
}

// Enter makes the pod's directory the working directory of this process and
// its lock survive an exec. It returns the number of the lock's descriptor.
func (p *Pod) Enter() (lockFD int, err error) {
	if err := p.dir.Chdir(); err != nil {
		return 0, err
	}
	return linux.KeepOverExec(p.dir)
}

// Discard deletes a pod whose stage1 was never started. This process holds the
// pod's lock.
func (p *Pod) Discard() error {
	if p.at != garbage {
		if err := p.moveTo(garbage); err != nil {
			return errors.Join(fmt.Errorf("discard pod %q: %w", p.UUID, err), p.Close())
		}
	}
	return errors.Join(p.erase(), p.Close())
}
