// Package link gives a container's agent descriptors of the host's, each under
// a name, over a unix socket: the streams of the guest protocol, and mounts,
// which a descriptor can carry into another mount namespace.
//
// The host only writes. Nothing that a guest sends is ever read.
package link

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Names of the descriptors that are no mounts.
const (
	Control = "control" // stream of calls
	Data    = "data"    // stream of the apps' input and output
)

const (
	// network keeps a name and its descriptor together.
	network = "unixpacket"
	// maxName bounds a name, in bytes.
	maxName = 64
	// maxWaiting is how many descriptors may wait for the guest to connect.
	maxWaiting = 32
)

// Host is the sending end.
type Host struct {
	listener *net.UnixListener
	waiting  chan parcel
	done     chan struct{}
	close    func()
}

type parcel struct {
	name string
	file *os.File
}

// Listen makes the socket at path, for one guest.
func Listen(path string) (*Host, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	listener, err := net.ListenUnix(network, &net.UnixAddr{Name: path, Net: network})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	h := &Host{listener: listener, waiting: make(chan parcel, maxWaiting), done: make(chan struct{})}
	h.close = sync.OnceFunc(func() { close(h.done) })
	go h.serve()
	return h, nil
}

// Send passes a descriptor on, which is the link's from now on. It does not
// wait for the guest to be there, unless many others do already.
func (h *Host) Send(ctx context.Context, name string, file *os.File) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("%q can't be the name of a descriptor", name)
	}
	select {
	case h.waiting <- parcel{name, file}:
		return nil
	case <-h.done:
		return errors.Join(net.ErrClosed, file.Close())
	case <-ctx.Done():
		return errors.Join(ctx.Err(), file.Close())
	}
}

// Close ends the link. What was not taken yet is closed.
func (h *Host) Close() { h.close() }

// serve waits for the guest, after which nobody else can connect, and sends.
func (h *Host) serve() {
	go func() {
		<-h.done
		_ = h.listener.Close()
	}()
	conn, err := h.listener.AcceptUnix()
	_ = h.listener.Close() // removes the socket, too
	if err == nil {
		defer conn.Close()
	}
	for {
		select {
		case p := <-h.waiting:
			if err == nil {
				_, _, err = conn.WriteMsgUnix([]byte(p.name), unix.UnixRights(int(p.file.Fd())), nil)
			}
			_ = p.file.Close()
		case <-h.done:
			h.discard()
			return
		}
	}
}

func (h *Host) discard() {
	for {
		select {
		case p := <-h.waiting:
			_ = p.file.Close()
		default:
			return
		}
	}
}
