package store

import (
	"context"
	"errors"
	"io"
	"path/filepath"

	"rkt/internal/appc"
	"rkt/internal/image/archive"
	"rkt/internal/image/render"
)

var (
	errNotWanted  = errors.New("no disk is wanted")
	errDuplicates = errors.New("names occur more than once")
	errParts      = errors.New("it is made of more than its archive")
)

// earlyDisk is the disk of an image that is made while the image's archive is
// checked, so that the archive is read once. It has no name before the image
// was found good and is in the store. Where it cannot be made that is no error:
// Disk makes it when it is wanted, or says why it can't.
type earlyDisk struct {
	store  *Store
	err    error  // why there is none
	draft  *draft // nil if there never was one
	writer *render.Disk
	sealed chan struct{} // closed when sealing has ended, nil before it has begun
}

// earlyDisk begins the disk of an image, if one is wanted.
func (s *Store) earlyDisk(origin Origin) *earlyDisk {
	e := &earlyDisk{store: s, err: errNotWanted}
	if !origin.Render {
		return e
	}
	if e.draft, e.err = s.newDraft(); e.err == nil {
		e.writer = render.NewDisk(e.draft.file)
	}
	return e
}

// add takes the next entry of the archive.
func (e *earlyDisk) add(entry *archive.Entry, data io.Reader) {
	if e.err == nil {
		// If reading has failed, the archive's reader says so to whoever checks it.
		e.err = e.writer.Add(entry.Name, &entry.Header, data)
	}
}

// giveUp says why no disk can be made.
func (e *earlyDisk) giveUp(err error) {
	if e.err == nil {
		e.err = err
	}
}

// seal begins to complete the disk when the whole archive was read.
func (e *earlyDisk) seal() {
	if e.err != nil {
		return
	}
	e.sealed = make(chan struct{})
	go func() {
		defer close(e.sealed)
		if e.err = e.writer.Finish(); e.err == nil {
			e.err = e.draft.seal()
		}
	}()
}

// await waits until sealing has ended.
func (e *earlyDisk) await() {
	if e.sealed != nil {
		<-e.sealed
	}
}

// keep puts the disk in place if there is none yet. The image is in the store.
func (e *earlyDisk) keep(ctx context.Context, r *record, m *appc.ImageManifest) {
	e.await()
	if len(m.Dependencies) > 0 || len(m.PathWhitelist) > 0 {
		e.giveUp(errParts)
	}
	if e.err != nil {
		return
	}
	parts := []*part{{record: r, manifest: m}}
	path := e.store.diskPath(diskID(parts))
	l, err := e.store.lock(ctx, treeLockDir, filepath.Base(path))
	if err != nil {
		e.giveUp(err)
		return
	}
	defer l.release()
	if _, err := e.store.checkDisk(path, readIfTouched); err == nil {
		return // somebody else has made it
	}
	e.giveUp(e.store.placeDraft(e.draft, path, parts))
}

// close removes what was not kept.
func (e *earlyDisk) close() {
	e.await()
	if e.writer != nil {
		e.writer.Close()
	}
	if e.draft != nil {
		e.draft.discard()
	}
}
