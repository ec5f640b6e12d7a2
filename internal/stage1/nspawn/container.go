package nspawn

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"rkt/internal/fault"
	"rkt/internal/guest/client"
	"rkt/internal/guest/guestproto"
	"rkt/internal/guest/link"
	"rkt/internal/linux"
	"rkt/internal/stage1"
	"rkt/internal/stage1/supervisor"
	"rkt/internal/stage1/words"
)

// container is one running container.
type container struct {
	process       *os.Process
	host          *link.Host
	control, data net.Conn

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
		mount, err := mountDisk(app)
		if err != nil {
			return disks, err
		}
		name := fmt.Sprintf("disk%d", i)
		fault.Point("run.disk.before-attach")
		if err := c.host.Send(ctx, name, mount); err != nil {
			return disks, err
		}
		fault.Point("run.disk.after-attach")
		disks.Apps = append(disks.Apps, client.Disk{Device: name, Filesystem: guestproto.HostMount, ReadOnly: true})
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

func (c *container) makeScratch() (*os.File, error) {
	if err := os.MkdirAll(scratchDir, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.Open(scratchDir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return linux.Bind(dir, linux.NoDev)
}
