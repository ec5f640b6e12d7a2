//go:build linux

package agent

import (
	"errors"
	"os"
	"path/filepath"
)

// ignorePressure ends the kernel's accounting of stalls for a control group and
// those around it, but not for all of the machine. At every switch between tasks
// it counts for each of them, which is a tenth of what traffic over the network
// costs an emulated machine; and no app sees the groups' files.
func ignorePressure(group string) error {
	const root = "/sys/fs/cgroup"
	var errs []error
	for ; group != root && filepath.Dir(group) != group; group = filepath.Dir(group) {
		err := os.WriteFile(filepath.Join(group, "cgroup.pressure"), []byte("0"), 0)
		if !errors.Is(err, os.ErrNotExist) { // a kernel that always counts, or never
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
