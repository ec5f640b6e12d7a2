package lkvm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"rkt/internal/build/elfdeps"
	"rkt/internal/build/tree"
	"rkt/internal/errhint"
)

// hostRoot is the directory, in the pod's, that becomes lkvm's root if the image
// has no lkvm.
const hostRoot = "lkvm"

// programName is what a host calls lkvm.
const programName = "lkvm"

// findProgram returns the directory that becomes lkvm's root, given the one of
// the image and what is in it. An image that was built where there was no lkvm
// takes the host's: it is copied, with what it loads, to the pod's directory.
func findProgram(machine, program, kernel string) (root string, err error) {
	_, err = os.Stat(filepath.Join(machine, program))
	if !errors.Is(err, os.ErrNotExist) {
		return machine, err
	}
	found, err := exec.LookPath(programName)
	if err != nil {
		return "", errhint.With(errors.New("this stage1 image was built without lkvm, and there is none in PATH"),
			"install lkvm (kvmtool), or take the stage1 image with QEMU (coreos.com/rkt/stage1-kvm)")
	}
	if root, err = filepath.Abs(hostRoot); err != nil {
		return "", err
	}
	t, err := hostTree(found, program)
	if err == nil {
		err = t.File(kernel, filepath.Join(machine, kernel), 0o644)
	}
	if err == nil {
		err = t.WriteDir(root)
	}
	if err != nil {
		return "", fmt.Errorf("make a root for %s: %w", found, err)
	}
	return root, nil
}

// hostTree returns what the image would have of lkvm, had it been built here.
func hostTree(from, to string) (*tree.Tree, error) {
	from, err := filepath.EvalSymlinks(from)
	if err != nil {
		return nil, err
	}
	libraries, err := elfdeps.Finder{Dirs: libraryDirs()}.Find(from)
	if err != nil {
		return nil, err
	}
	const all, read = 0o755, 0o644
	t := tree.New()
	err = errors.Join(
		t.Dir("dev", all), t.Dir(home, all), t.Data("init", "", read),
		t.Symlink("lib", "usr/lib"), t.Symlink("lib64", "usr/lib64"), t.File(to, from, all))
	for _, l := range libraries {
		err = errors.Join(err, t.File(l.Path, l.Source, all))
	}
	return t, err
}

// libraryDirs are where hosts have libraries, Debian's and others.
func libraryDirs() []string {
	const multiarch = "x86_64-linux-gnu"
	return append([]string{"/lib64", "/usr/lib64"}, elfdeps.Debian(multiarch).Dirs...)
}
