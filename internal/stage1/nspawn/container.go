package nspawn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"

	"rkt/internal/fault"
	"rkt/internal/guest/client"
	"rkt/internal/guest/guestproto"
	"rkt/internal/guest/link"
	"rkt/internal/linux"
	"rkt/internal/stage1"
	"rkt/internal/stage1/supervisor"
	"rkt/internal/stage1/words"
	"rkt/internal/treecopy"
)

// container is one running container.
type container struct {
	process       *os.Process
	host          *link.Host
	control, data net.Conn
	// users is the namespace by which owners are shifted, nil if they are not.
	users *os.File
	// copies says that apps' roots are to be copies of their images.
	copies bool

	words   *words.Tail
	readers sync.WaitGroup
	done    chan struct{}
}

func (c *container) wait() {
	_, _ = c.process.Wait()
	// What it said last has been written by now; let it be read.
	c.readers.Wait()
	c.host.Close()
	close(c.done)
}

// Pid is the first process of the container's namespace: what is in the
// container ends with it.
func (c *container) Pid() int { return c.process.Pid }

// Streams returns the sockets whose other ends the link gives to the agent.
func (c *container) Streams() (control, data io.ReadWriteCloser) { return c.control, c.data }

// Done is closed when all processes of the container have ended.
func (c *container) Done() <-chan struct{} { return c.done }

// Kill ends the container at once. The error of a process that has ended is no
// news.
func (c *container) Kill() { _ = c.process.Kill() }

// LastWords returns the last line of what systemd-nspawn or systemd said.
func (c *container) LastWords() string { return c.words.Last("") }

// Attach gives the container the apps' images as mounts, and a directory of the
// host's for what they write.
func (c *container) Attach(ctx context.Context, apps []stage1.AppDisk) (supervisor.Disks, error) {
	var disks supervisor.Disks
	for i, app := range apps {
		name := fmt.Sprintf("disk%d", i)
		mount, err := mountDisk(app)
		if err == nil && c.copies {
			mount, err = copyDisk(filepath.Join(copiesDir, name), mount)
		}
		if err == nil {
			err = c.shift(mount)
		}
		if err != nil {
			return disks, err
		}
		fault.Point("run.disk.before-attach")
		if err := c.host.Send(ctx, name, mount); err != nil {
			return disks, err
		}
		fault.Point("run.disk.after-attach")
		disks.Apps = append(disks.Apps, client.Disk{Device: name, Filesystem: guestproto.HostMount, ReadOnly: !c.copies})
	}
	scratch, err := c.makeScratch()
	if err != nil {
		return disks, fmt.Errorf("make the scratch directory: %w", err)
	}
	disks.Scratch = &client.Disk{Device: scratchDir, Filesystem: guestproto.HostMount}
	return disks, c.host.Send(ctx, scratchDir, scratch)
}

// mountDisk mounts an app's image. The kernel reads what rkt made and has
// checked; no guest could ever write to it.
func mountDisk(app stage1.AppDisk) (*os.File, error) {
	var options []string
	if app.Filesystem == "ext4" {
		options = []string{"noload"} // a journal could not be replayed anyway
	}
	return linux.MountImage(app.Path, app.Filesystem, options)
}

// copyDisk copies a disk to a directory of the pod's, closes it, and returns a
// mount of that.
func copyDisk(to string, disk *os.File) (*os.File, error) {
	defer disk.Close()
	if err := os.MkdirAll(copiesDir, 0o700); err != nil {
		return nil, err
	}
	fault.Point("run.copy.before")
	if err := treecopy.Copy(to, disk); err != nil {
		return nil, err
	}
	fault.Point("run.copy.after")
	return bind(to)
}

func (c *container) makeScratch() (*os.File, error) {
	if err := os.MkdirAll(scratchDir, 0o700); err != nil {
		return nil, err
	}
	scratch, err := bind(scratchDir)
	if err != nil {
		return nil, err
	}
	return scratch, c.shift(scratch)
}

// shift shows a mount as the pod's users' own, if it has any, or closes it.
func (c *container) shift(mount *os.File) error {
	if c.users == nil {
		return nil
	}
	if err := linux.Shift(mount, c.users); err != nil {
		return errors.Join(err, mount.Close())
	}
	return nil
}
