//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/mdlayher/vsock"
)

// Vsock is the transport of a machine whose hypervisor carries no ports, but a
// socket to its host. The host listens at the port that has the number of the
// machine's own address: so the machine needs to be told nothing. It takes two
// connections, the first for the calls and the second for the data, and both
// are there before anything of an image runs.
type Vsock struct{ address uint32 }

// FindVsock returns the transport if the machine has such a socket.
func FindVsock() (Vsock, bool) {
	address, err := vsock.ContextID()
	const none = 0xffffffff
	return Vsock{address}, err == nil && address > vsock.Host && address != none
}

// Accept connects to the host, which has to be listening. There is one session.
func (v Vsock) Accept(ctx context.Context) (control, data io.ReadWriteCloser, err error) {
	c, err := vsock.DialContext(ctx, vsock.Host, v.address, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("connect for the calls: %w", err)
	}
	d, err := vsock.DialContext(ctx, vsock.Host, v.address, nil)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("connect for the data: %w", err), c.Close())
	}
	return c, d, nil
}
