//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/containerd/go-dmverity/pkg/dm"
	"golang.org/x/sys/unix"

	"rkt/internal/guest/guestproto"
)

const (
	verityBlock = 4096
	// sectorsPerBlock counts device-mapper's units.
	sectorsPerBlock = verityBlock / 512
)

// openVerity puts a device in front of a disk that gives out only blocks which
// fit the hash tree, and returns its path: a block that does not is EIO. It
// lasts as long as the machine.
func openVerity(ctx context.Context, disk string, v *guestproto.Verity) (path string, err error) {
	params, err := dm.BuildTargetParams(dm.OpenArgs{
		Version: 1, DataDevice: disk, HashDevice: disk, HashName: "sha256",
		DataBlockSize: verityBlock, HashBlockSize: verityBlock,
		DataBlocks: v.DataBlocks, HashStartBytes: v.DataBlocks * verityBlock,
		RootDigest: v.RootHash, Salt: v.Salt,
	})
	if err != nil {
		return "", err
	}
	control, err := dm.Open()
	if err != nil {
		return "", err
	}
	defer control.Close()
	name := "verity-" + filepath.Base(disk)
	device, err := control.CreateDevice(name)
	if err != nil {
		return "", err
	}
	target := dm.Target{Length: v.DataBlocks * sectorsPerBlock, Type: "verity", Params: params}
	err = control.LoadTable(name, []dm.Target{target})
	if err == nil {
		err = control.SuspendDevice(name, false)
	}
	if err != nil {
		return "", errors.Join(err, control.RemoveDevice(name))
	}
	return waitForDisk(ctx, &guestproto.Disk{Device: fmt.Sprintf("/dev/dm-%d", unix.Minor(device))})
}
