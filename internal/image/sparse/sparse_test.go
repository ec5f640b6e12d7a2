package sparse_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"rkt/internal/image/sparse"
)

// TestAgainstMemory does the same random writes to a sparse file and to memory.
func TestAgainstMemory(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		f, err := os.Create(filepath.Join(t.TempDir(), "f"))
		if err != nil {
			t.Fatal(err)
		}
		s := sparse.NewFile(f)
		var want []byte
		for range 30 {
			offset := random.IntN(60_000)
			p := make([]byte, random.IntN(30_000))
			if random.IntN(2) == 0 {
				for i := range random.IntN(len(p) + 1) {
					p[i] = byte(random.Uint32())
				}
			}
			if _, err := s.Seek(int64(offset), io.SeekStart); err != nil {
				t.Fatal(err)
			}
			if n, err := s.Write(p); n != len(p) || err != nil {
				t.Fatal(n, err)
			}
			if grow := offset + len(p) - len(want); grow > 0 && len(p) > 0 {
				want = append(want, make([]byte, grow)...)
			}
			copy(want[min(offset, len(want)):], p)
		}
		if err := s.Finish(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(f.Name())
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes instead of %d, or others: %v", len(got), len(want), err)
		}
	}
}
