// Package verity seals disk images with a hash tree, so that a kernel with
// dm-verity can check every block at the moment it is read. The tree is appended to
// the image; file systems don't look behind their end.
//
// Format: https://docs.kernel.org/admin-guide/device-mapper/verity.html, version
// 1, blocks of 4096 bytes, SHA-256, without a superblock.
package verity

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/Microsoft/hcsshim/ext4/dmverity"
)

// BlockSize is the size of data and hash blocks in bytes.
const BlockSize = 4096

// saltSize is how many zero bytes the library puts before each block. The same
// image gives the same tree.
const saltSize = 32

// bufferSize is how much is read at once.
const bufferSize = 1 << 20

// Seal is what is needed to check an image with its tree.
type Seal struct {
	// RootHash stands for all of the data, in lower-case hex.
	RootHash string `json:"rootHash"`
	// Salt goes before each block when it is hashed, in lower-case hex.
	Salt string `json:"salt"`
	// DataSize is the length of the image without its tree in bytes. The tree
	// begins there.
	DataSize int64 `json:"dataSize"`
}

// Append appends the tree to an image, whose length must be a multiple of
// BlockSize and more than one. It also returns the SHA-256 of the whole file, in lower-case hex,
// because it reads all of it anyway. It does not sync f.
func Append(f *os.File) (Seal, string, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return Seal{}, "", err
	}
	// One block has no tree: its digest is the root.
	if size <= BlockSize || size%BlockSize != 0 {
		return Seal{}, "", fmt.Errorf("seal %s: %d bytes are not several whole blocks", f.Name(), size)
	}
	// Two digests at once take two processors.
	whole := sha256.New()
	pr, pw := io.Pipe()
	hashed := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(whole, bufio.NewReaderSize(pr, bufferSize), make([]byte, bufferSize))
		_ = pr.CloseWithError(err)
		hashed <- err
	}()
	data := io.TeeReader(io.NewSectionReader(f, 0, size), pw)
	tree, err := dmverity.MerkleTree(bufio.NewReaderSize(data, bufferSize))
	_ = pw.CloseWithError(err) // nil is the end
	if hashErr := <-hashed; err == nil {
		err = hashErr
	}
	if err != nil {
		return Seal{}, "", err
	}
	if _, err := f.WriteAt(tree, size); err != nil {
		return Seal{}, "", err
	}
	whole.Write(tree)
	seal := Seal{
		RootHash: hex.EncodeToString(dmverity.RootHash(tree)),
		Salt:     hex.EncodeToString(bytes.Repeat([]byte{0}, saltSize)),
		DataSize: size,
	}
	return seal, hex.EncodeToString(whole.Sum(nil)), nil
}
