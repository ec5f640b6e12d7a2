package main

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rkt/test/probe/report"
)

// maxContent is how much of a file is told.
const maxContent = 256

// files prints what there is below the directories given.
func files(dirs []string) error {
	if len(dirs) == 0 {
		return usage()
	}
	var found []report.File
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			f, err := lookAtFile(path)
			found = append(found, f)
			return err
		})
		if err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

// replace puts an empty directory in the place of each file, and looks at it.
func replace(paths []string) error {
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			return err
		}
		if err := os.Mkdir(path, 0o755); err != nil { //nolint:gosec // others may look
			return err
		}
	}
	return files(paths)
}

func lookAtFile(path string) (report.File, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return report.File{}, fmt.Errorf("stat %s: %w", path, err)
	}
	f := report.File{
		Path: []byte(path), Mode: st.Mode, UID: st.Uid, GID: st.Gid, Size: st.Size,
		Inode: st.Ino, Links: uint64(st.Nlink), Device: st.Rdev, Modified: st.Mtim.Nano(), //nolint:unconvert // not so everywhere
	}
	var err error
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		f.Content, err = beginning(path)
	case unix.S_IFLNK:
		var target string
		target, err = os.Readlink(path)
		f.Content = []byte(target)
	}
	if err == nil {
		f.Xattrs, err = xattrs(path)
	}
	return f, err
}

func beginning(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxContent))
}

func xattrs(path string) (map[string][]byte, error) {
	list := make([]byte, 4096)
	n, err := unix.Llistxattr(path, list)
	if err != nil || n == 0 {
		return nil, err
	}
	found := make(map[string][]byte)
	for _, name := range splitNUL(list[:n]) {
		value := make([]byte, 4096)
		size, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return nil, fmt.Errorf("attribute %s of %s: %w", name, path, err)
		}
		found[name] = value[:size]
	}
	return found, nil
}

func splitNUL(b []byte) []string {
	var names []string
	for begin, i := 0, 0; i < len(b); i++ {
		if b[i] == 0 {
			names = append(names, string(b[begin:i]))
			begin = i + 1
		}
	}
	return names
}
