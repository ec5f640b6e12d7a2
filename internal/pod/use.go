package pod

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Names of the files that say what of the image store a pod needs.
const (
	appsInfoDir = "appsinfo"
	treeFile    = "treeStoreID"
)

// maxIDFile bounds what is read of a file with an id.
const maxIDFile = 256

// Use is what pods need of an image store.
type Use struct {
	Rendered map[string]bool // ids of disks and trees
	Images   map[string]bool // whole ids of images
}

// Use returns what all pods together need of the image store: disks and trees
// until a pod is deleted, images as long as it may run. LockCollecting keeps
// the answer true.
func (ps *Pods) Use() (Use, error) {
	use := Use{Rendered: make(map[string]bool), Images: make(map[string]bool)}
	for p, err := range ps.in(prepare, prepared, run, exitedGarbage) {
		if err != nil {
			return use, err
		}
		err := errors.Join(p.addUse(&use), p.Close())
		if err != nil && !errors.Is(err, ErrGone) {
			return use, fmt.Errorf("pod %q: %w", p.UUID, err)
		}
	}
	return use, nil
}

func (p *Pod) addUse(use *Use) error {
	files, err := fs.Glob(p.root.FS(), filepath.Join(appsInfoDir, "*", treeFile))
	if err != nil {
		return err
	}
	for _, name := range append(files, stage1TreeFile) {
		b, err := p.read(name, maxIDFile)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		use.Rendered[strings.TrimSpace(string(b))] = true
	}
	info, err := p.Info()
	if err != nil || info.State != Preparing && info.State != Prepared && info.State != Running {
		return err
	}
	for _, app := range info.Apps {
		use.Images[app.Image.ID.Key()] = true
	}
	return nil
}
