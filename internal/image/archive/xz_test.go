package archive_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"rkt/internal/image/archive"
	"rkt/internal/image/imagetest"
)

// xzPacked compresses with the real xz.
func xzPacked(t testing.TB, b []byte, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("needs xz")
	}
	cmd := exec.Command("xz", append([]string{"-c"}, args...)...)
	cmd.Stdin = bytes.NewReader(b)
	packed, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// greedy makes xz data ask for a dictionary of 1.5 GiB in its first block.
func greedy(packed []byte) []byte {
	b := bytes.Clone(packed)
	const header = 12
	size := (int(b[header]) + 1) * 4
	i := bytes.Index(b[header:header+size], []byte{0x21, 1}) + header + 2
	b[i] = 37
	binary.LittleEndian.PutUint32(b[header+size-4:], crc32.ChecksumIEEE(b[header:header+size-4]))
	return b
}

// noisy returns an image that compresses into more than one chunk.
func noisy(t testing.TB) []byte {
	random := rand.New(rand.NewPCG(3, 4))
	data := make([]byte, 400_000)
	for i := range data {
		data[i] = byte(random.IntN(64))
	}
	return aci(t, imagetest.File("rootfs/noise", string(data)), imagetest.File("rootfs/zeros", strings.Repeat("\x00", 200_000)))
}

func TestXZ(t *testing.T) {
	t.Parallel()
	plain := noisy(t)
	want, err := archive.Scan(bytes.NewReader(plain), archive.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	one, two := xzPacked(t, plain[:300_000]), xzPacked(t, plain[300_000:], "--check=none")
	for desc, packed := range map[string][]byte{
		"plain": xzPacked(t, plain), "fast": xzPacked(t, plain, "-0"), "best": xzPacked(t, plain, "-9e"),
		"blocks": xzPacked(t, plain, "--block-size=50000"), "crc32": xzPacked(t, plain, "--check=crc32"),
		"sha256": xzPacked(t, plain, "--check=sha256"), "threads": xzPacked(t, plain, "-T2", "--block-size=100000"),
		"two streams": append(bytes.Clone(one), two...), "padded": append(append(bytes.Clone(one), make([]byte, 8)...), two...),
	} {
		got, err := archive.Scan(bytes.NewReader(packed), archive.Limits{}, nil)
		if err != nil || got.ID != want.ID || got.Compression != archive.XZ {
			t.Errorf("%s: %+v, %v", desc, got, err)
		}
		// Neither is anything accepted that was cut off, nor blamed on somebody else.
		for cut := 7; cut < len(packed); cut += len(packed)/8 + 1 {
			if _, err := archive.Scan(bytes.NewReader(packed[:cut]), archive.Limits{}, nil); !errors.Is(err, archive.ErrInvalid) {
				t.Errorf("%s, cut at %d: %v", desc, cut, err)
			}
		}
	}
	if _, err := archive.Scan(bytes.NewReader(greedy(xzPacked(t, plain))), archive.Limits{}, nil); !errors.Is(err, archive.ErrInvalid) {
		t.Errorf("a big dictionary: %v", err)
	}
}
