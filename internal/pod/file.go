package pod

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"rkt/internal/image/tempfile"
)

// readBounded reads a whole file that may not be longer than limit.
func readBounded(open func(string) (*os.File, error), path string, limit int64) ([]byte, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: longer than %d bytes", path, limit)
	}
	return data, nil
}

// replaceFile writes a file that is seen whole or not at all.
func replaceFile(path string, data []byte, mode os.FileMode) error {
	temp, err := tempfile.Create(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer temp.Discard()
	if _, err := temp.File.Write(data); err != nil {
		return err
	}
	if err := temp.File.Chmod(mode); err != nil {
		return err
	}
	return temp.Commit(path, "pod.uuid-file")
}
