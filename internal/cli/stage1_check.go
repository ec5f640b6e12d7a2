package cli

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"rkt/internal/image/archive"
	"rkt/internal/pod"
)

// maxLinks bounds how many links lead to an entry point.
const maxLinks = 8

// checkStage1Archive finds out whether an archive can become a stage1 image
// that runs pods, before anything of it is stored. It leaves f at its beginning.
func checkStage1Archive(f io.ReadSeeker) error {
	manifest, entries, err := readStage1Archive(f)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	s, err := pod.NewStage1("", manifest, func(_, program string) (string, error) {
		return program, entries.checkProgram(program)
	})
	if err != nil {
		return err
	}
	return s.Check()
}

// archiveEntries are an archive's entries by their paths below the rootfs.
type archiveEntries map[string]tar.Header

func readStage1Archive(f io.Reader) (manifest []byte, entries archiveEntries, err error) {
	plain, _, err := archive.Decompress(f)
	if err != nil {
		return nil, nil, err
	}
	entries = make(archiveEntries)
	for reader := archive.NewReader(plain, archive.Limits{}); ; {
		entry, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			return manifest, entries, nil
		case err != nil:
			return nil, nil, err
		case entry.Manifest:
			if manifest, err = io.ReadAll(reader); err != nil {
				return nil, nil, err
			}
		default:
			entries[entry.Name] = entry.Header
		}
	}
}

// checkProgram follows the links that an entry point may be. They must be
// relative: the host's kernel follows them, too.
func (e archiveEntries) checkProgram(name string) error {
	at := path.Clean("/" + name)[1:]
	for range maxLinks {
		header, ok := e[at]
		switch {
		case !ok:
			return fmt.Errorf("there is no /%s in the image", at)
		case header.Typeflag == tar.TypeLink:
			at = header.Linkname
		case header.Typeflag == tar.TypeSymlink:
			at = path.Join(path.Dir(at), header.Linkname)
			if path.IsAbs(header.Linkname) || strings.HasPrefix(at, "../") {
				return fmt.Errorf("%s is a link out of the image", name)
			}
		case header.Typeflag != tar.TypeReg || header.Mode&0o111 == 0:
			return fmt.Errorf("%s is not a program", name)
		default:
			return nil
		}
	}
	return fmt.Errorf("%s: too many links", name)
}
