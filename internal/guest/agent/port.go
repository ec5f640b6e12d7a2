//go:build linux

package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"rkt/internal/linux"
)

// Names of the ports, as the supervisor gives them to the hypervisor.
const (
	ControlPort = "rkt.control"
	DataPort    = "rkt.data"
)

// Ports is the transport over two virtio-serial ports.
type Ports struct{}

// Accept opens both ports, waiting until the kernel has them.
func (Ports) Accept(ctx context.Context) (control, data io.ReadWriteCloser, err error) {
	c, err := openPort(ctx, ControlPort)
	if err != nil {
		return nil, nil, fmt.Errorf("port %s: %w", ControlPort, err)
	}
	d, err := openPort(ctx, DataPort)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("port %s: %w", DataPort, err), c.Close())
	}
	return c, d, nil
}

func openPort(ctx context.Context, name string) (*linux.VirtioPort, error) {
	events, err := linux.NewUevents()
	if err != nil {
		return nil, err
	}
	defer events.Close()
	for {
		path, err := findPort(name)
		if err == nil {
			return linux.OpenVirtioPort(path)
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if err := events.Wait(ctx); err != nil {
			return nil, err
		}
	}
}

// findPort returns the device node of a port. Their numbers say nothing.
func findPort(name string) (string, error) {
	names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
	if err != nil {
		return "", err
	}
	for _, file := range names {
		b, err := os.ReadFile(file)
		if err == nil && string(bytes.TrimSpace(b)) == name {
			return filepath.Join("/dev", filepath.Base(filepath.Dir(file))), nil
		}
	}
	return "", os.ErrNotExist
}
