package trust

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"rkt/internal/appc"
	"rkt/internal/image/tempfile"
)

const (
	dirMode  = 0o755
	fileMode = 0o644
)

// AddPrefix trusts key for the images at and below prefix and returns the file
// it is in. If it is there already, unchanged, the error is ErrExists, with the
// path. A key that could not vouch for anything is refused as by Check.
func (s *Keystore) AddPrefix(prefix appc.ACIdentifier, key *Key) (path string, err error) {
	if _, err := appc.NewACIdentifier(string(prefix)); err != nil {
		return "", err
	}
	return s.add(filepath.Join(prefixDir, string(prefix)), key)
}

// AddRoot trusts key for all images and returns the file it is in. If it is
// there already, unchanged, the error is ErrExists, with the path. A key that
// could not vouch for anything is refused as by Check.
func (s *Keystore) AddRoot(key *Key) (path string, err error) { return s.add(rootDir, key) }

func (s *Keystore) add(subdir string, key *Key) (string, error) {
	if s.localDir == "" {
		return "", errors.New("there is no local configuration directory to keep keys in")
	}
	if err := key.Check(); err != nil {
		return "", err
	}
	dir := filepath.Join(s.localDir, keysDir, subdir)
	path := filepath.Join(dir, key.Fingerprint())
	text, err := key.armored()
	if err != nil {
		return "", err
	}
	if old, err := readKeyFile(path); err == nil {
		if oldText, err := old.armored(); err == nil && bytes.Equal(oldText, text) {
			return path, ErrExists
		}
	}
	if err := writeKey(dir, path, text); err != nil {
		return "", fmt.Errorf("add key: %w", err)
	}
	return path, nil
}

func writeKey(dir, path string, text []byte) error {
	if err := makeDirs(dir); err != nil {
		return err
	}
	if err := tempfile.Sweep(dir); err != nil {
		return err
	}
	tmp, err := tempfile.Create(dir)
	if err != nil {
		return err
	}
	defer tmp.Discard()
	if _, err := tmp.File.Write(text); err != nil {
		return err
	}
	if err := tmp.File.Chmod(fileMode); err != nil {
		return err
	}
	return tmp.Commit(path, "trust.add")
}

// makeDirs makes dir and what is missing above it, open to readers whatever the
// umask: whoever fetches images needs the keys.
func makeDirs(dir string) error {
	err := os.Mkdir(dir, dirMode)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeDirs(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, dirMode)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(dir, dirMode)
}

// armored returns the key as it is kept in a file.
func (k *Key) armored() ([]byte, error) {
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err != nil {
		return nil, err
	}
	if err := k.entity.Serialize(w); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// isNotDir says whether a path leads through something that is no directory.
func isNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
