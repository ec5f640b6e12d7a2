package linux

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// AttachLoop makes a loop device for a file: to be read only, unless writable
// says otherwise. The kernel takes the device away when nobody has it open or
// mounted any more, so nothing of it outlives the processes that use it.
func AttachLoop(file *os.File, writable bool) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, os.NewSyscallError("ioctl LOOP_CTL_GET_FREE", err)
		}
		device, err := configureLoop("/dev/loop"+strconv.Itoa(number), file, writable)
		if errors.Is(err, unix.EBUSY) {
			continue // somebody else was quicker
		}
		return device, err
	}
}

func configureLoop(path string, file *os.File, writable bool) (*os.File, error) {
	how, flags := os.O_RDONLY, uint32(unix.LO_FLAGS_READ_ONLY|unix.LO_FLAGS_AUTOCLEAR)
	if writable {
		how, flags = os.O_RDWR, unix.LO_FLAGS_AUTOCLEAR
	}
	device, err := os.OpenFile(path, how, 0)
	if err != nil {
		return nil, err
	}
	config := unix.LoopConfig{Fd: uint32(file.Fd()), Info: unix.LoopInfo64{Flags: flags}}
	copy(config.Info.File_name[:], file.Name())
	if err := unix.IoctlLoopConfigure(int(device.Fd()), &config); err != nil {
		return nil, errors.Join(fmt.Errorf("configure %s: %w", path, err), device.Close())
	}
	return device, nil
}

// MountImage mounts the file system in a file, read-only and attached nowhere.
// When the mount goes, so does all that was made for it.
func MountImage(path, filesystem string, options []string) (*os.File, error) {
	image, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	device, err := AttachLoop(image, false)
	if err != nil {
		return nil, fmt.Errorf("loop device for %s: %w", path, err)
	}
	defer device.Close()
	return Filesystem{
		Type: filesystem, Source: device.Name(), Options: options, Attrs: ReadOnly | NoDev,
	}.Mount()
}
