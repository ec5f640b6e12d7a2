package render

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/Microsoft/hcsshim/ext4/tar2ext4"

	"rkt/internal/image/relay"
	"rkt/internal/image/sparse"
)

const (
	// maxDisk fixes how much room for block group descriptors there is at the
	// beginning of a disk. The room is a hole where it isn't needed.
	maxDisk = 1 << 40
	// maxFile is the largest file whose extents the writer lays out right.
	maxFile = 40 << 30
)

// Disk writes a tree as one file system, entry by entry as they come. It must
// be closed.
type Disk struct {
	file      *sparse.File
	converter *relay.Consumer // what is written to it is the archive
	archive   *writer
}

// NewDisk returns a Disk that writes to out, which must be empty. It does not
// sync out.
func NewDisk(out *os.File) *Disk {
	d := &Disk{file: sparse.NewFile(out)}
	d.converter = relay.NewConsumer(func(r io.Reader) error {
		return tar2ext4.ConvertTarToExt4(r, d.file, tar2ext4.MaximumDiskSize(maxDisk))
	})
	d.archive = newWriter(d.converter)
	return d
}

// Add takes one entry: its path, header and data. A name other than a
// directory's may come once only. After an error no more may be added.
func (d *Disk) Add(name string, h *tar.Header, r io.Reader) error {
	return d.blame(d.archive.add(name, h, r))
}

// Finish completes the file system with the directories that a system wants to
// mount on.
func (d *Disk) Finish() error {
	if err := d.archive.close(); err != nil {
		return d.blame(err)
	}
	if err := d.converter.Wait(nil); err != nil {
		return explain(err)
	}
	return d.file.Finish()
}

// Close gives up what was not finished.
func (d *Disk) Close() { d.converter.Close() }

// blame returns why the converter has stopped, if that is what err comes from.
func (d *Disk) blame(err error) error {
	if !errors.Is(err, relay.ErrClosed) {
		return err
	}
	if failure := d.converter.Wait(nil); failure != nil {
		return explain(failure)
	}
	return err
}

// explain classes an error of the converter: what is no trouble with the file
// that it writes is something that a disk cannot hold.
func explain(err error) error {
	var file *os.PathError
	if errors.As(err, &file) {
		return fmt.Errorf("write %s: %w", Filesystem, err)
	}
	return fmt.Errorf("%w: %w", ErrUnsupported, err)
}
