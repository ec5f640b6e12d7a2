package verity_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"rkt/internal/image/verity"
)

// TestVeritysetupAgrees has another program check what Append wrote, with one
// level of the tree, with several, and with a byte changed.
func TestVeritysetupAgrees(t *testing.T) {
	t.Parallel()
	veritysetup, err := exec.LookPath("veritysetup")
	if err != nil {
		if veritysetup = "/usr/sbin/veritysetup"; !exists(veritysetup) {
			t.Skip("needs veritysetup")
		}
	}
	for _, blocks := range []int{2, 128, 129, 20000} {
		t.Run(fmt.Sprint(blocks), func(t *testing.T) {
			t.Parallel()
			f := newImage(t, blocks)
			seal, _, err := verity.Append(f)
			if err != nil {
				t.Fatal(err)
			}
			verify := func() error {
				cmd := exec.CommandContext(t.Context(), veritysetup, "verify", "--no-superblock", "--salt="+seal.Salt,
					"--hash=sha256", fmt.Sprintf("--data-blocks=%d", seal.DataSize/verity.BlockSize),
					fmt.Sprintf("--hash-offset=%d", seal.DataSize), f.Name(), f.Name(), seal.RootHash)
				out, err := cmd.CombinedOutput()
				if err != nil {
					err = fmt.Errorf("%w: %s", err, out)
				}
				return err
			}
			if err := verify(); err != nil {
				t.Errorf("unchanged: %v", err)
			}
			if _, err := f.WriteAt([]byte("changed"), seal.DataSize/2); err != nil {
				t.Fatal(err)
			}
			if err := verify(); err == nil {
				t.Error("a change is not noticed")
			}
		})
	}
}

func TestDigestIsOfTheWholeFile(t *testing.T) {
	t.Parallel()
	f := newImage(t, 1000)
	_, sum, err := verity.Append(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(b); sum != hex.EncodeToString(want[:]) {
		t.Errorf("digest %s, want %x", sum, want)
	}
}

func TestNotSeveralWholeBlocks(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, 1, verity.BlockSize, verity.BlockSize + 1} {
		f := newImage(t, 2)
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		if seal, _, err := verity.Append(f); err == nil {
			t.Errorf("%d bytes: %+v", size, seal)
		}
	}
}

// BenchmarkAppend shows what sealing costs beyond one digest of the file.
func BenchmarkAppend(b *testing.B) {
	f := newImage(b, 50000)
	size := int64(50000 * verity.BlockSize)
	b.SetBytes(size)
	for b.Loop() {
		if err := f.Truncate(size); err != nil {
			b.Fatal(err)
		}
		if _, _, err := verity.Append(f); err != nil {
			b.Fatal(err)
		}
	}
}

// newImage returns a file of random blocks.
func newImage(t testing.TB, blocks int) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	random := rand.NewChaCha8([32]byte{byte(blocks)})
	block := make([]byte, verity.BlockSize)
	for range blocks {
		_, _ = random.Read(block) // it never fails
		if _, err := f.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
