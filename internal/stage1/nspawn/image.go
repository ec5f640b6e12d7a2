package nspawn

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
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
	i := &Image{root: filepath.Dir(executable)}
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
