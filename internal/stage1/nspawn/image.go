package nspawn

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Parts of the stage1 image, relative to its root.
const (
	toolsDir      = "nspawn" // systemd-nspawn and all that it loads
	guestDir      = "guest"  // the container's root
	descriptionIn = "machine.json"
)

// Image is an extracted stage1 image.
type Image struct {
	root string
	// Paths inside of toolsDir.
	Loader    string   `json:"loader"`
	Nspawn    string   `json:"nspawn"`
	Libraries []string `json:"libraries"`
}

// OpenImage opens the stage1 image that the running program came from.
func OpenImage() (*Image, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return ReadImage(filepath.Dir(executable))
}

// ReadImage opens the stage1 image whose root is a directory.
func ReadImage(root string) (*Image, error) {
	i := &Image{root: root}
	b, err := os.ReadFile(filepath.Join(i.root, descriptionIn))
	if err != nil {
		return nil, fmt.Errorf("incomplete stage1 image: %w", err)
	}
	if err := json.Unmarshal(b, i); err != nil {
		return nil, fmt.Errorf("stage1 image: %s: %w", descriptionIn, err)
	}
	for _, path := range []string{filepath.Join(toolsDir, i.Nspawn), filepath.Join(toolsDir, i.Loader), guestDir} {
		if _, err := os.Stat(filepath.Join(i.root, path)); err != nil {
			return nil, fmt.Errorf("incomplete stage1 image: %w", err)
		}
	}
	return i, nil
}

// Command is how systemd-nspawn is called if the image's directory for it is at
// tools: by the image's own loader, with the libraries that it has.
func (i *Image) Command(tools string) []string {
	var libraries []string
	for _, dir := range i.Libraries {
		libraries = append(libraries, filepath.Join(tools, dir))
	}
	return []string{
		filepath.Join(tools, i.Loader), "--inhibit-cache", "--library-path", strings.Join(libraries, ":"),
		filepath.Join(tools, i.Nspawn),
	}
}
