package lkvm

import (
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/mdlayher/vsock"
)

// devVsock is what gives the host's sockets to machines; opening it loads what
// that takes.
const devVsock = "/dev/vhost-vsock"

// agent is the host's end of what the agent in the machine connects to: a port
// with the number of the machine's address. It takes two connections, the first
// for calls, the second for data, and none but the machine's: others on this
// host could connect as well.
type agent struct {
	listener      *vsock.Listener
	control, data *stream
}

// listen takes the machine's connections from now on.
func listen(address uint32) (*agent, error) {
	device, err := os.OpenFile(devVsock, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("lkvm needs sockets between machines and host (module vhost_vsock): %w", err)
	}
	defer device.Close()
	listener, err := vsock.ListenContextID(vsock.Host, address, nil)
	if err != nil {
		return nil, fmt.Errorf("listen for the agent: %w", err)
	}
	a := &agent{listener, newStream(), newStream()}
	go a.accept(address)
	return a, nil
}

// accept connects both streams. It ends when they are, or the listener is
// closed.
func (a *agent) accept(address uint32) {
	for _, s := range []*stream{a.control, a.data} {
		conn, err := a.next(address)
		s.connect(conn, err)
	}
	a.listener.Close()
}

// next returns the machine's next connection.
func (a *agent) next(address uint32) (net.Conn, error) {
	for {
		conn, err := a.listener.Accept()
		if err != nil {
			return nil, err
		}
		if peer, ok := conn.RemoteAddr().(*vsock.Addr); ok && peer.ContextID == address {
			return conn, nil
		}
		conn.Close()
	}
}

func (a *agent) close() { a.listener.Close() }

// stream is a connection that is yet to be made: until then reads and writes
// wait.
type stream struct {
	settled chan struct{} // closed when there is a connection, or never will be

	mu   sync.Mutex
	over bool // settled is closed
	conn net.Conn
	err  error // why there is no connection
}

func newStream() *stream { return &stream{settled: make(chan struct{})} }

// connect settles the stream. One that was closed meanwhile stays closed.
func (s *stream) connect(conn net.Conn, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		if conn != nil {
			conn.Close()
		}
		return
	}
	s.conn, s.err, s.over = conn, err, true
	close(s.settled)
}

// wait returns the connection once there is one.
func (s *stream) wait() (net.Conn, error) {
	<-s.settled
	return s.conn, s.err
}

// Read reads what the machine sends.
func (s *stream) Read(b []byte) (int, error) {
	conn, err := s.wait()
	if err != nil {
		return 0, err
	}
	return conn.Read(b)
}

// Write sends to the machine.
func (s *stream) Write(b []byte) (int, error) {
	conn, err := s.wait()
	if err != nil {
		return 0, err
	}
	return conn.Write(b)
}

// Close ends the connection, or the wait for it.
func (s *stream) Close() error {
	s.connect(nil, net.ErrClosed)
	if s.conn == nil {
		return nil
	}
	return s.conn.Close()
}
