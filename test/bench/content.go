package main

import (
	"archive/tar"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"time"
)

// Shares of an image's bytes, in percent; the rest cannot be compressed, as
// pictures, archives and keys cannot.
const (
	textPercent    = 45
	programPercent = 42
)

// Sizes of an image's files in bytes: their logarithms are spread evenly.
const (
	smallestFile = 1 << 8
	largestFile  = 8 << 20
)

// filesPerDir is how many files share a directory.
const filesPerDir = 50

// content makes up an image that looks like those that people run: text and
// programs, which gzip makes smaller by about as much as real ones, and what it
// can't. The same size gives the same bytes.
type content struct {
	random *rand.Rand
	words  []string
	code   [][]byte
	buffer []byte // for a file
}

const (
	wordCount = 6000
	codeCount = 2500
)

func newContent() *content {
	c := &content{random: rand.New(rand.NewPCG(1, 2))}
	for range wordCount {
		word := make([]byte, 2+c.random.IntN(9))
		for i := range word {
			word[i] = byte('a' + c.often(26))
		}
		c.words = append(c.words, string(word)+" ")
	}
	for range codeCount {
		instruction := make([]byte, 2+c.random.IntN(8))
		for i := range instruction {
			instruction[i] = byte(c.random.Uint32())
		}
		c.code = append(c.code, instruction)
	}
	return c
}

// often returns a number below n, low ones more often than high ones.
func (c *content) often(n int) int {
	const skew = 4
	return int(float64(n) * math.Pow(c.random.Float64(), skew))
}

// write writes an uncompressed image with the given manifest and about so many
// bytes.
func (c *content) write(to io.Writer, manifest string, bytes int64) error {
	w := tar.NewWriter(to)
	if err := addFile(w, "manifest", []byte(manifest)); err != nil {
		return err
	}
	if err := addDir(w, "rootfs"); err != nil {
		return err
	}
	for n := 0; bytes > 0; n++ {
		dir := fmt.Sprintf("rootfs/directory-%d", n/filesPerDir)
		if n%filesPerDir == 0 {
			if err := addDir(w, dir); err != nil {
				return err
			}
		}
		data := c.file(min(c.size(), bytes))
		if err := addFile(w, fmt.Sprintf("%s/file-%d", dir, n), data); err != nil {
			return err
		}
		bytes -= int64(len(data))
	}
	return w.Close()
}

// size returns the size of the next file.
func (c *content) size() int64 {
	const spread = largestFile / smallestFile
	return int64(smallestFile * math.Pow(spread, c.random.Float64()))
}

// file returns the next file's bytes, until it is called again: the memory that
// this program has counts as that of the programs that it starts.
func (c *content) file(size int64) []byte {
	data := c.buffer[:0]
	kind := c.random.IntN(100)
	for int64(len(data)) < size {
		switch {
		case kind < textPercent:
			data = append(data, c.words[c.often(len(c.words))]...)
		case kind < textPercent+programPercent:
			data = append(data, c.code[c.often(len(c.code))]...)
			if c.random.IntN(6) == 0 { // an operand
				data = append(data, byte(c.random.Uint32()))
			}
		default:
			data = binary.LittleEndian.AppendUint64(data, c.random.Uint64())
		}
	}
	c.buffer = data
	return data[:size]
}

func addDir(w *tar.Writer, name string) error {
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: contentTime()})
}

func addFile(w *tar.Writer, name string, data []byte) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data)), ModTime: contentTime()}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

func contentTime() time.Time { return time.Unix(1_400_000_000, 0) }
