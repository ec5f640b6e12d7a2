package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Dirs are the configuration directories. What a later one says counts instead
// of the same thing in an earlier one. An empty name leaves one out, and none of
// them needs to exist.
type Dirs struct{ System, Local, User string }

// All reads everything.
func (d Dirs) All() (*Config, error) { return d.read(authDir, pathsDir, stage1Dir, imagesDir) }

// Auth reads the credentials.
func (d Dirs) Auth() (*Config, error) { return d.read(authDir) }

// Paths reads where things are kept. Files about other things may be broken.
func (d Dirs) Paths() (Paths, error) {
	c, err := d.read(pathsDir)
	if err != nil {
		return Paths{}, err
	}
	return c.Paths, nil
}

// Stage1 reads which stage1 image is the default.
func (d Dirs) Stage1() (Stage1, error) {
	c, err := d.read(stage1Dir)
	if err != nil {
		return Stage1{}, err
	}
	return c.Stage1, nil
}

// Images reads which images are taken.
func (d Dirs) Images() (Images, error) {
	c, err := d.read(imagesDir)
	if err != nil {
		return Images{}, err
	}
	return c.Images, nil
}

func (d Dirs) read(subdirs ...string) (*Config, error) {
	c := &Config{Auth: make(map[string]Auth), DockerAuth: make(map[string]DockerAuth)}
	for _, dir := range []string{d.System, d.Local, d.User} {
		if dir == "" {
			continue
		}
		for _, subdir := range subdirs {
			if err := c.readDir(filepath.Join(dir, subdir)); err != nil {
				return nil, fmt.Errorf("read configuration: %w", err)
			}
		}
	}
	return c, nil
}

// readDir applies all files of a directory. They are equals: none of them may
// say again what another one has said.
func (c *Config) readDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	said := make(map[string]string)
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".json" || !e.Type().IsRegular() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		settings, err := readFile(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, s := range settings {
			if other, twice := said[s.what]; twice {
				return fmt.Errorf("%s: %w", path, s.at.errorf("%s: already in %s", s.what, other))
			}
			said[s.what] = e.Name()
			s.apply(c)
		}
	}
	return nil
}

// readFile reads one file, which nobody may have put a link in the place of
// since it was listed.
func readFile(path string) ([]setting, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, withoutPath(err)
	}
	return parse(b, filepath.Base(filepath.Dir(path)))
}

// withoutPath returns what an error says beside the path, which the caller adds.
func withoutPath(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
