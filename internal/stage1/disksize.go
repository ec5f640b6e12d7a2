package stage1

import (
	"fmt"
	"strconv"
	"strings"
)

// Bounds of a DiskSize. A host's file system commonly takes no file above the
// upper one, and below the lower one hardly anything could be written.
const (
	MinDiskSize DiskSize = 16 << 20
	MaxDiskSize DiskSize = 8 << 40
)

// DiskSize is how large the disk of a pod is, in bytes, that takes what its apps
// write. It is stored in DiskSizeFile, in decimal; without that file the size is
// the stage1's choice.
type DiskSize int64

// Check refuses sizes out of the bounds.
func (s DiskSize) Check() error {
	if s < MinDiskSize || s > MaxDiskSize {
		return fmt.Errorf("a disk of %d bytes: must be between %d and %d", s, MinDiskSize, MaxDiskSize)
	}
	return nil
}

// File returns what is in DiskSizeFile.
func (s DiskSize) File() []byte { return fmt.Appendf(nil, "%d\n", s) }

// ParseDiskSize reads what File wrote.
func ParseDiskSize(b []byte) (DiskSize, error) {
	n, err := strconv.ParseInt(strings.TrimSuffix(string(b), "\n"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %.40q is no number of bytes", DiskSizeFile, b)
	}
	return DiskSize(n), DiskSize(n).Check()
}
