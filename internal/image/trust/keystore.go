// Package trust keeps the keys that images may be signed with and checks
// signatures against them.
//
// A key is trusted for all images (root) or for the images below a prefix of
// their name, where a prefix matches whole path elements only. Keys lie as
// files below a system directory, which distributions fill, and a local one,
// which the administrator fills; an empty file masks the key it is named by.
package trust

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rkt/internal/appc"
)

// Names below each of the two configuration directories.
const (
	keysDir   = "trustedkeys"
	rootDir   = "root.d"
	prefixDir = "prefix.d"
)

// Keystore is the set of trusted keys on disk. It reads its directories anew
// at each call.
type Keystore struct {
	systemDir, localDir string
}

// Open returns the keystore in the directory trustedkeys below each of the two
// configuration directories. Neither needs to exist; an empty name leaves one
// out.
func Open(systemDir, localDir string) *Keystore {
	return &Keystore{systemDir: systemDir, localDir: localDir}
}

// keyring holds keys by their fingerprint.
type keyring map[string]*Key

// keyring returns the keys that are trusted for the image name. Later
// directories add to earlier ones and mask keys of theirs.
func (s *Keystore) keyring(name appc.ACIdentifier) (keyring, error) {
	ring := make(keyring)
	for _, dir := range s.dirsFor(name) {
		if err := ring.load(dir); err != nil {
			return nil, err
		}
	}
	return ring, nil
}

// dirsFor returns the directories whose keys are trusted, or masked, for an image
// name, in the order in which they count.
func (s *Keystore) dirsFor(name appc.ACIdentifier) []string {
	dirs := s.dirs(rootDir)
	for _, dir := range s.dirs(prefixDir) {
		for element := range strings.SplitSeq(string(name), "/") {
			dir = filepath.Join(dir, element)
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// MaskOf returns the file that masks a key for an image name, empty if the key is
// not masked.
func (s *Keystore) MaskOf(name appc.ACIdentifier, fingerprint string) (mask string, err error) {
	for _, dir := range s.dirsFor(name) {
		path := filepath.Join(dir, fingerprint)
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) || isNotDir(err):
		case err != nil:
			return "", fmt.Errorf("read keystore: %w", err)
		case info.Mode().IsRegular() && info.Size() == 0:
			mask = path
		default:
			mask = ""
		}
	}
	return mask, nil
}

// HasKeys says whether any key is trusted for the image name.
func (s *Keystore) HasKeys(name appc.ACIdentifier) (bool, error) {
	ring, err := s.keyring(name)
	return len(ring) > 0, err
}

// dirs returns the system's and the local directory of one kind.
func (s *Keystore) dirs(kind string) []string {
	var dirs []string
	for _, dir := range []string{s.systemDir, s.localDir} {
		if dir != "" {
			dirs = append(dirs, filepath.Join(dir, keysDir, kind))
		}
	}
	return dirs
}

// load adds the keys in one directory and removes those that are masked there.
// Directories in it, which are longer prefixes, and hidden files are left out.
func (ring keyring) load(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || isNotDir(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read keystore: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("read keystore: %w", err)
		}
		switch {
		case !info.Mode().IsRegular():
		case info.Size() == 0:
			delete(ring, e.Name())
		default:
			key, err := readKeyFile(path)
			if err != nil {
				return fmt.Errorf("read keystore: %w", err)
			}
			ring[e.Name()] = key
		}
	}
	return nil
}

// readKeyFile reads a key that must be in a file named by its fingerprint.
func readKeyFile(path string) (*Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	keys, err := ReadKeys(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(keys) != 1 {
		return nil, fmt.Errorf("%s: it holds %d keys instead of one", path, len(keys))
	}
	if got, want := keys[0].Fingerprint(), filepath.Base(path); got != want {
		return nil, fmt.Errorf("fingerprint mismatch: %q:%q", want, got)
	}
	return keys[0], nil
}

// place is a key and the prefix that it is trusted for, "" for all images.
type place struct {
	prefix string
	key    *Key
}

// known returns the places of the keys with the given ids, sorted by prefix.
// Files that are no keys, and keys that are masked, are passed over.
func (s *Keystore) known(ids []uint64) []place {
	var places []place
	look := func(top, path string) {
		key, err := readKeyFile(path)
		if err != nil || !slices.ContainsFunc(ids, key.hasID) {
			return
		}
		prefix, err := filepath.Rel(top, filepath.Dir(path))
		if err != nil || prefix == "." {
			prefix = ""
		}
		if ring, err := s.keyring(appc.ACIdentifier(prefix)); err == nil && ring[key.Fingerprint()] != nil {
			places = append(places, place{prefix, key})
		}
	}
	for _, top := range append(s.dirs(rootDir), s.dirs(prefixDir)...) {
		_ = filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
				look(top, path)
			}
			return nil
		})
	}
	slices.SortFunc(places, func(a, b place) int { return strings.Compare(a.prefix, b.prefix) })
	return places
}
