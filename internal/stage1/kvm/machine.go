package kvm

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"rkt/internal/fault"
	"rkt/internal/guest/client"
	"rkt/internal/stage1"
	"rkt/internal/stage1/kvm/qmp"
	"rkt/internal/stage1/supervisor"
	"rkt/internal/stage1/words"
)

// scratchFile is the pod's writable disk, in the pod's directory.
const scratchFile = "scratch.img"

// verityBlock is the size in bytes that the contract has for blocks.
const verityBlock = 4096

// qemu is one running QEMU.
type qemu struct {
	image     *Image
	kvm       bool
	vhost     bool  // packets are the kernel's business
	diskBytes int64 // of the scratch disk, 0 for the image's choice
	process   *os.Process
	qmp       *qmp.Client

	control, data, qmpConn *net.UnixConn

	words   *words.Tail
	readers sync.WaitGroup
	done    chan struct{}
}

func (q *qemu) wait() {
	_, _ = q.process.Wait()
	// What it said last has been written by now; let it be read.
	q.readers.Wait()
	close(q.done)
}

// Pid is QEMU's process on the host.
func (q *qemu) Pid() int { return q.process.Pid }

// Streams returns the sockets whose other ends are QEMU's.
func (q *qemu) Streams() (control, data io.ReadWriteCloser) { return q.control, q.data }

// Done is closed when QEMU has ended.
func (q *qemu) Done() <-chan struct{} { return q.done }

// Kill ends QEMU at once. The error of a process that has ended is no news.
func (q *qemu) Kill() { _ = q.process.Kill() }

// LastWords returns the last line of QEMU's messages or the guest's console.
func (q *qemu) LastWords() string { return q.words.Last("") }

// Attach hot-adds the disks as LUNs of the machine's SCSI controller: the
// apps' in their order from 0, then the scratch disk.
func (q *qemu) Attach(ctx context.Context, apps []stage1.AppDisk) (supervisor.Disks, error) {
	var disks supervisor.Disks
	monitor, err := qmp.New(ctx, q.qmpConn)
	if err != nil {
		return disks, err
	}
	q.qmp = monitor
	for lun, app := range apps {
		f, err := os.Open(app.Path)
		if err != nil {
			return disks, err
		}
		err = q.addDisk(ctx, lun, f, true)
		f.Close()
		if err != nil {
			return disks, err
		}
		disk := client.Disk{LUN: uint32(lun), Filesystem: app.Filesystem, ReadOnly: true}
		// Hashing all that is read is worth it where processors do it themselves.
		// An emulated machine's disks were checked by the host.
		if q.kvm {
			if disk.Verity, err = VerityOf(app); err != nil {
				return disks, err
			}
		}
		disks.Apps = append(disks.Apps, disk)
	}
	scratch, err := q.image.MakeScratch(ctx, q.diskBytes)
	if err != nil {
		return disks, fmt.Errorf("make the scratch disk: %w", err)
	}
	defer scratch.Close()
	disks.Scratch = &client.Disk{LUN: uint32(len(apps)), Filesystem: "ext4"}
	return disks, q.addDisk(ctx, len(apps), scratch, false)
}

// VerityOf translates what the contract says of a disk's hash tree.
func VerityOf(app stage1.AppDisk) (*client.Verity, error) {
	v := app.Verity
	if v == nil {
		return nil, nil
	}
	root, err := hex.DecodeString(v.RootHash)
	salt, saltErr := hex.DecodeString(v.Salt)
	if err := errors.Join(err, saltErr); err != nil {
		return nil, fmt.Errorf("hash tree of %s: %w", app.Path, err)
	}
	return &client.Verity{RootHash: root, Salt: salt, DataBlocks: uint64(v.DataSize / verityBlock)}, nil
}

// addDisk gives the guest an open image as a LUN. The image is said to be raw,
// so QEMU never guesses from what a guest wrote.
func (q *qemu) addDisk(ctx context.Context, lun int, f *os.File, readOnly bool) error {
	set, node := firstDiskFDSet+lun, fmt.Sprintf("disk%d", lun)
	fault.Point("run.disk.before-attach")
	if err := q.qmp.AddFD(ctx, set, f); err != nil {
		return err
	}
	blockdev := map[string]any{
		"driver": "raw", "node-name": node, "read-only": readOnly, "discard": "unmap",
		"file": map[string]any{
			"driver": "file", "filename": fmt.Sprintf("/dev/fdset/%d", set), "locking": "off", "discard": "unmap",
		},
	}
	if err := q.qmp.Execute(ctx, "blockdev-add", blockdev, nil); err != nil {
		return err
	}
	device := map[string]any{
		"driver": "scsi-hd", "bus": scsiController + ".0", "id": node, "drive": node,
		"channel": 0, "scsi-id": 0, "lun": lun,
		// A full host disk is an error in the app, not a machine that stops.
		"werror": "report", "rerror": "report",
	}
	if err := q.qmp.Execute(ctx, "device_add", device, nil); err != nil {
		return err
	}
	fault.Point("run.disk.after-attach")
	return nil
}
