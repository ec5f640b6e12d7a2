package store

import (
	"errors"
	"os"
	"path/filepath"

	"rkt/internal/image/tempfile"
	"rkt/internal/image/verity"
)

// draft is the directory of a disk that has no name yet.
type draft struct {
	dir  *tempfile.Temp
	file *os.File // the disk, open until it is sealed

	// What seal finds out.
	verity verity.Seal
	sum    string
}

// newDraft makes a draft with an empty file.
func (s *Store) newDraft() (*draft, error) {
	dir, err := tempfile.CreateDir(filepath.Join(s.dir, diskDir))
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir.Path(), diskFile), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		dir.Discard()
		return nil, err
	}
	return &draft{dir: dir, file: f}, nil
}

// seal appends the hash tree to the file, which nobody writes to any more, and
// makes it durable.
func (d *draft) seal() (err error) {
	if d.verity, d.sum, err = verity.Append(d.file); err == nil {
		err = d.file.Sync()
	}
	// Closing comes before the times are noted: nothing changes them after it.
	return errors.Join(err, d.file.Close())
}

// discard removes what was not placed. It may always be called.
func (d *draft) discard() {
	_ = d.file.Close()
	d.dir.Discard()
}

// placeDraft puts a sealed draft at path, with a record that says which parts it
// is made of, in place of a disk that is damaged. The lock of the name is held.
func (s *Store) placeDraft(d *draft, path string, parts []*part) error {
	info, err := os.Stat(filepath.Join(d.dir.Path(), diskFile))
	if err != nil {
		return err
	}
	noted := &diskRecord{Version: recordVersion, Seal: d.verity, SHA256: d.sum}
	for _, p := range parts {
		noted.Images = append(noted.Images, p.record.ID)
	}
	if err := noted.note(info); err != nil {
		return err
	}
	if err := writeDiskRecord(d.dir.Path(), noted); err != nil {
		return err
	}
	return s.replaceDir(d.dir, path, "store.disk")
}
