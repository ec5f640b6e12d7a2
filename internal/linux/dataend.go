package linux

import (
	"bytes"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// DataEnd returns the end of the last block of f that holds anything but
// zeros, rounded up to 64 KiB or the file's end. Holes are not read.
func DataEnd(f *os.File) (int64, error) {
	const block = 1 << 16
	var end int64
	b, zero := make([]byte, block), make([]byte, block)
	for offset := int64(0); ; {
		data, err := unix.Seek(int(f.Fd()), offset, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return end, nil // only a hole is left, or nothing
		}
		if err != nil {
			return 0, &os.PathError{Op: "find data", Path: f.Name(), Err: err}
		}
		offset = data - data%block
		n, err := f.ReadAt(b, offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if n == 0 {
			return end, nil
		}
		offset += int64(n)
		if !bytes.Equal(b[:n], zero[:n]) {
			end = offset
		}
	}
}
