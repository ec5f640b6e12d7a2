package approot

import (
	"errors"
	"os"
	"path/filepath"

	"rkt/internal/linux"
)

// kernel are the kernel's file systems for one app, in the Builder's namespace
// but not in the app's root yet. Most of what makes a root is in here, and none of
// it depends on the app.
type kernel struct{ proc, sys, dev *os.File }

// makeKernel makes them.
func (b *Builder) makeKernel(protect bool) (_ *kernel, err error) {
	dir := filepath.Join(b.dirs.State, "kernel")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := linux.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if err := b.fillKernel(furnished{root}, protect); err != nil {
		return nil, err
	}
	k := &kernel{}
	for at, f := range map[string]**os.File{"/proc": &k.proc, "/sys": &k.sys, "/dev": &k.dev} {
		opened, openErr := root.OpenPath(at)
		*f, err = opened, errors.Join(err, openErr)
	}
	return k, err
}

// fillKernel makes them in a root.
func (b *Builder) fillKernel(r furnished, protect bool) error {
	steps := []func() error{r.mountProc, func() error { return r.mountSys(protect) }, r.mountDev}
	if b.container {
		steps = []func() error{r.copyProc, r.copySys, r.copyDev}
	}
	if protect {
		steps = append(steps, func() error { return r.protect(b.hidden) })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// showKernel puts them into an app's root.
func (b *Builder) showKernel(r furnished, protect bool) error {
	k := b.spare
	if k == nil || !protect {
		return b.fillKernel(r, protect)
	}
	b.spare = nil
	defer k.close()
	return errors.Join(r.attach(k.proc, "/proc"), r.attach(k.sys, "/sys"), r.attach(k.dev, "/dev"))
}

func (k *kernel) close() {
	for _, f := range []*os.File{k.proc, k.sys, k.dev} {
		f.Close()
	}
}
