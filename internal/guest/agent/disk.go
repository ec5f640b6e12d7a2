//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"rkt/internal/guest/guestproto"
	"rkt/internal/linux"
)

// waitForDisk returns the path of a disk's device when it can be opened, which
// is later than when its node appears.
func waitForDisk(ctx context.Context, d *guestproto.Disk) (string, error) {
	// Listen before the first look: then what comes later wakes us.
	events, err := linux.NewUevents()
	if err != nil {
		return "", err
	}
	defer events.Close()
	if d.Device == "" {
		if _, err := findLUN(d.Lun); errors.Is(err, os.ErrNotExist) {
			if err := scanLUN(d.Lun); err != nil {
				return "", err
			}
		}
	}
	for {
		path, err := d.Device, error(nil)
		if path == "" {
			path, err = findLUN(d.Lun)
		}
		if err == nil {
			err = tryOpen(path)
		}
		switch {
		case err == nil:
			return path, nil
		case !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENXIO):
			return "", err
		}
		if waitErr := events.Wait(ctx); waitErr != nil {
			return "", errors.Join(waitErr, err)
		}
	}
}

// findLUN returns the device that has a LUN of the machine's SCSI controller.
// Disks are never told apart by their letters, which are given out in the
// order of discovery.
func findLUN(lun uint32) (string, error) {
	pattern := fmt.Sprintf("/sys/bus/scsi/devices/*:0:0:%d/block/*", lun)
	found, err := filepath.Glob(pattern)
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", fmt.Errorf("no such disk: %w", os.ErrNotExist)
	case len(found) > 1:
		return "", fmt.Errorf("there are %d of them", len(found))
	}
	return "/dev/" + filepath.Base(found[0]), nil
}

// scanLUN has the kernel look for a disk that was there from the start: the
// machine boots without looking for any, because asking for all there could be
// takes longer than the rest of the boot. A disk that comes later is announced.
func scanLUN(lun uint32) error { return scan(strconv.FormatUint(uint64(lun), 10)) }

// lookForDisks has the kernel look for all disks that are there now.
func (a *Agent) lookForDisks() {
	if err := scan("-"); err != nil {
		a.logf("look for disks: %v", err)
	}
}

func scan(luns string) error {
	hosts, err := filepath.Glob("/sys/class/scsi_host/host*/scan")
	if err != nil {
		return err
	}
	for _, scan := range hosts {
		// Channel, target, LUN.
		if err := os.WriteFile(scan, []byte("0 0 "+luns), 0); err != nil {
			return err
		}
	}
	return nil
}

func tryOpen(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	return unix.Close(fd)
}
