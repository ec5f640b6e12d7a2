package lkvm

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"rkt/internal/fault"
	"rkt/internal/linux"
	"rkt/internal/stage1/kvm"
	"rkt/internal/stage1/supervisor"
)

// Names of the disks in the jail. lkvm takes files by name only and would have to
// be let read them. So each is a loop device, which is the jail's to open.
const (
	devRoot    = "/dev/root"
	devScratch = "/dev/scratch"
)

func devApp(n int) string { return fmt.Sprintf("/dev/app%d", n) }

// disks are the loop devices of a machine. They go when nobody has them open
// any more.
type disks struct {
	nodes   []linux.Device
	devices []*os.File
}

// openDisks makes the devices: the guest's root, the apps' images, and the disk
// for what they write.
func openDisks(ctx context.Context, image *kvm.Image, spec supervisor.Spec) (_ *disks, err error) {
	d := &disks{}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if err := d.add(devRoot, image.Guest()); err != nil {
		return nil, err
	}
	for n, app := range spec.Disks {
		if err := d.add(devApp(n), app.Path); err != nil {
			return nil, err
		}
	}
	scratch, err := image.MakeScratch(ctx, spec.DiskBytes)
	if err != nil {
		return nil, fmt.Errorf("make the scratch disk: %w", err)
	}
	defer scratch.Close()
	return d, d.attach(devScratch, scratch, true)
}

// add makes the device of a file that nobody writes to.
func (d *disks) add(name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return d.attach(name, f, false)
}

func (d *disks) attach(name string, f *os.File, writable bool) error {
	fault.Point("run.disk.before-attach")
	device, err := linux.AttachLoop(f, writable)
	fault.Point("run.disk.after-attach")
	if err != nil {
		return fmt.Errorf("loop device for %s: %w", f.Name(), err)
	}
	d.devices = append(d.devices, device)
	var st unix.Stat_t
	if err := unix.Fstat(int(device.Fd()), &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	d.nodes = append(d.nodes, linux.Device{
		Name: name[len("/dev/"):], Block: true, ReadOnly: !writable,
		Major: unix.Major(st.Rdev), Minor: unix.Minor(st.Rdev),
	})
	return nil
}

func (d *disks) close() error {
	var err error
	for _, device := range d.devices {
		err = errors.Join(err, device.Close())
	}
	return err
}
