package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"rkt/internal/appc"
	"rkt/internal/fault"
	"rkt/internal/image/archive"
	"rkt/internal/image/relay"
	"rkt/internal/image/tempfile"
	"rkt/internal/linux"
)

// Incoming is the private copy of an archive that may become an image. It is
// written, read and checked by its maker, and then imported or discarded.
type Incoming struct {
	temp  *tempfile.Temp
	store *Store
	room  int64
}

// NewIncoming makes an empty Incoming.
func (s *Store) NewIncoming() (*Incoming, error) {
	room, err := s.room(0)
	if err != nil {
		return nil, err
	}
	tmp, err := tempfile.Create(s.temporary())
	if err != nil {
		return nil, s.explainSpace(err)
	}
	return &Incoming{temp: tmp, store: s, room: room}, nil
}

// Write adds to the archive: ErrNoSpace if the disk has too little room.
func (in *Incoming) Write(p []byte) (int, error) {
	if int64(len(p)) > in.room {
		return 0, in.store.explainImport(archive.ErrTooLarge)
	}
	n, err := in.temp.File.Write(p)
	in.room -= int64(n)
	return n, in.store.explainSpace(err)
}

// Reader returns a reader of what was written, from its beginning. Only one
// may be in use.
func (in *Incoming) Reader(ctx context.Context) (io.Reader, error) {
	if _, err := in.temp.File.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return archive.WithContext(ctx, in.temp.File), nil
}

// Manifest returns the manifest in the archive, parsed but with nothing
// vouching for it.
func (in *Incoming) Manifest(ctx context.Context) (*appc.ImageManifest, error) {
	r, err := in.Reader(ctx)
	if err != nil {
		return nil, err
	}
	limits, err := in.store.importLimits()
	if err != nil {
		return nil, err
	}
	b, err := archive.PeekManifest(r, limits)
	if err != nil {
		return nil, in.store.explainImport(err)
	}
	return appc.ParseImageManifest(b)
}

// Discard removes what was not imported. It may always be called.
func (in *Incoming) Discard() { in.temp.Discard() }

// Origin is what is known of an archive beside its bytes.
type Origin struct {
	// Name is what the manifest must say: the name that the signature was
	// checked for.
	Name appc.ACIdentifier
	// Signature and SignedBy are the detached signature over the bytes and the
	// fingerprint of its key, both empty if nobody has vouched for the image.
	Signature []byte
	SignedBy  string
	// Latest says that the image was asked for without a version.
	Latest bool
	// Render makes the image's disk while the archive is read anyway, if it can
	// be made of this archive alone, so that the first use need not. It takes
	// root. Whether it succeeds is for Disk to say.
	Render bool
}

// Import checks the archive whole and stores it. Importing an image that is
// there already succeeds and leaves one copy; a copy that was damaged is
// replaced.
func (s *Store) Import(ctx context.Context, in *Incoming, origin Origin) (*Image, error) {
	disk := s.earlyDisk(origin)
	defer disk.close()
	r, manifest, err := s.examine(ctx, in, origin, disk)
	if err != nil {
		return nil, s.explainImport(err)
	}
	disk.seal() // while the archive is written out
	img, err := s.keep(ctx, in, r, manifest, origin)
	if err == nil {
		disk.keep(ctx, r, img.Manifest)
	}
	return img, err
}

// keep puts what was examined in place.
func (s *Store) keep(ctx context.Context, in *Incoming, r *record, manifest []byte, origin Origin) (*Image, error) {
	l, err := s.lock(ctx, lockDir, r.ID)
	if err != nil {
		return nil, err
	}
	if err := s.place(in, r, manifest, origin.Signature); err != nil {
		err = errors.Join(err, s.recover(r.ID))
		l.release()
		return nil, s.explainSpace(err)
	}
	// Once it is unlocked others may remove it.
	img, err := s.get(r.ID)
	l.release()
	return img, err
}

// examine reads the whole archive, shows it to disk, and returns the record to
// be and the manifest as it is stored.
func (s *Store) examine(ctx context.Context, in *Incoming, origin Origin, disk *earlyDisk) (*record, []byte, error) {
	src, err := in.Reader(ctx)
	if err != nil {
		return nil, nil, err
	}
	limits, err := s.importLimits()
	if err != nil {
		return nil, nil, err
	}
	digest := relay.NewDigest(sha256.New())
	defer digest.Close()
	counted := io.TeeReader(src, digest)
	info, err := archive.Scan(counted, limits, disk.add)
	if err != nil {
		return nil, nil, err
	}
	if info.Duplicates {
		disk.giveUp(errDuplicates)
	}
	if n, err := io.Copy(io.Discard, counted); err != nil || n > 0 {
		return nil, nil, errors.Join(err, fmt.Errorf("%w: %d bytes follow it", archive.ErrInvalid, n))
	}
	m, err := appc.ParseImageManifest(info.Manifest)
	if err != nil {
		return nil, nil, err
	}
	if m.Name != origin.Name {
		return nil, nil, fmt.Errorf("%w: its name is %q instead of %q", archive.ErrInvalid, m.Name, origin.Name)
	}
	b, err := manifestJSON(m)
	if err != nil {
		return nil, nil, err
	}
	size, err := in.temp.File.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, nil, err
	}
	return &record{
		Version: recordVersion, ID: info.ID, Name: m.Name, Labels: m.Labels, ImportTime: time.Now().UTC(),
		Size: size, SHA256: hex.EncodeToString(digest.Sum()), Plain: info.Size, Compression: info.Compression,
		Duplicates: info.Duplicates, Latest: origin.Latest, SignedBy: origin.SignedBy,
	}, b, nil
}

// place puts the parts of an image in place, the record last. The image's lock
// is held.
func (s *Store) place(in *Incoming, r *record, manifest, signature []byte) error {
	old, err := s.readRecord(r.ID)
	if err == nil && old.SignedBy != "" && r.SignedBy == "" && s.checkBlob(old) == nil {
		// The signature there is over other bytes of the same content.
		old.ImportTime, old.Latest, old.Damaged = r.ImportTime, old.Latest || r.Latest, false
		return s.writeRecord(old)
	}
	if err := s.writeFile(s.manifest(r.ID), manifest, "store.manifest"); err != nil {
		return err
	}
	if err := commit(in.temp, s.blob(r.ID), "store.blob"); err != nil {
		return err
	}
	if len(signature) > 0 {
		err = s.writeFile(s.signature(r.ID), signature, "store.signature")
	} else {
		err = removeFile(s.signature(r.ID))
	}
	if err != nil {
		return err
	}
	return s.writeRecord(r)
}

// checkBlob says whether the bytes of an image are those that its record
// names: ErrDamaged if not.
func (s *Store) checkBlob(r *record) error {
	f, err := os.Open(s.blob(r.ID))
	if err != nil {
		return fmt.Errorf("image %q: %w: %w", r.ID, ErrDamaged, err)
	}
	defer f.Close()
	digest := sha256.New()
	if _, err := io.Copy(digest, f); err != nil {
		return err
	}
	if hex.EncodeToString(digest.Sum(nil)) != r.SHA256 {
		return fmt.Errorf("image %q: %w", r.ID, ErrDamaged)
	}
	return nil
}

// Remove removes the image with the given whole id. What was made of it stays,
// for pods that use it.
func (s *Store) Remove(id string) error {
	if _, err := appc.ParseHash(id); err != nil {
		return ErrNotFound
	}
	id = appc.Hash(id).Key()
	l, err := s.lock(context.Background(), lockDir, id)
	if err != nil {
		return err
	}
	if _, err := os.Stat(s.recordFile(id)); errors.Is(err, fs.ErrNotExist) {
		l.release()
		return ErrNotFound
	}
	fault.Point("store.remove.before")
	if err := errors.Join(removeFile(s.recordFile(id)), linux.SyncDir(s.dir+"/"+indexDir)); err != nil {
		l.abandon()
		return err
	}
	fault.Point("store.remove.after")
	if err := errors.Join(s.removeParts(id), s.forgetRemotes(id)); err != nil {
		l.abandon()
		return err
	}
	l.release()
	return nil
}

// recover brings the image id into order after a process that was changing it
// was killed: whole or gone. The image's lock is held.
func (s *Store) recover(id string) error {
	if _, err := appc.ParseHash(id); err != nil {
		return nil // no lock of ours
	}
	r, err := s.readRecord(id)
	if err == nil {
		err = s.checkBlob(r)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrDamaged):
		return errors.Join(removeFile(s.recordFile(id)), s.removeParts(id))
	default:
		return err
	}
}

// removeParts removes all files of an image but its record.
func (s *Store) removeParts(id string) error {
	return errors.Join(removeFile(s.blob(id)), removeFile(s.signature(id)), removeFile(s.manifest(id)))
}

func removeFile(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
