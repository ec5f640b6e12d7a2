package linux

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDataEnd(t *testing.T) {
	t.Parallel()
	const block = 1 << 16
	for name, c := range map[string]struct {
		size, at int64 // at: where one byte is set, if positive
		want     int64
	}{
		"empty":             {0, -1, 0},
		"hole":              {10 * block, -1, 0},
		"first block":       {10 * block, 5, block},
		"in the middle":     {1 << 34, 1<<33 + 7, 1<<33 + block},
		"last, not a block": {3*block + 100, 3*block + 99, 3*block + 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := os.OpenFile(filepath.Join(t.TempDir(), "f"), os.O_CREATE|os.O_RDWR, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := f.Truncate(c.size); err != nil {
				t.Fatal(err)
			}
			if c.at >= 0 {
				if _, err := f.WriteAt([]byte{1}, c.at); err != nil {
					t.Fatal(err)
				}
				// Zeros that were written are data to the file system only.
				if _, err := f.WriteAt(make([]byte, block), c.at+1); err != nil {
					t.Fatal(err)
				}
				if err := f.Truncate(c.size); err != nil {
					t.Fatal(err)
				}
			}
			got, err := DataEnd(f)
			if err != nil || got != c.want {
				t.Errorf("DataEnd = %d, %v, want %d", got, err, c.want)
			}
		})
	}
}
