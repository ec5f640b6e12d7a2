package vm

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"testing"
)

// repack copies a stage1 image without the entries that keep refuses, and with
// other content for the files named in replace.
func repack(t *testing.T, from, to string, keep func(*tar.Header) bool, replace map[string][]byte) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	z, err := gzip.NewReader(bufio.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(out)
	err = copyEntries(w, tar.NewReader(z), keep, replace)
	if err := errors.Join(err, w.Close(), out.Close()); err != nil {
		t.Fatal(err)
	}
}

func copyEntries(w *tar.Writer, r *tar.Reader, keep func(*tar.Header) bool, replace map[string][]byte) error {
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !keep(header) {
			continue
		}
		content, replaced := replace[header.Name]
		if replaced {
			header.Size = int64(len(content))
		}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		if replaced {
			_, err = w.Write(content)
		} else {
			_, err = io.Copy(w, r)
		}
		if err != nil {
			return err
		}
	}
}
