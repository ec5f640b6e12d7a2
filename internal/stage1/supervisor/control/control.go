// Package control is the conversation between a pod's supervisor and the other
// entry points of its stage1 image, over a unix socket in the pod's directory.
// Both come out of the same image, so there are no versions of it.
package control

//go:generate protoc --go_out=. --go_opt=paths=source_relative control.proto

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"rkt/internal/errhint"
	"rkt/internal/stage1"
)

// ErrNotRunning means that no supervisor serves the pod.
var ErrNotRunning = errors.New("the pod's supervisor does not answer")

// network is a unix socket of packets.
const network = "unixpacket"

// maxClients is how many conversations a supervisor has at a time.
const maxClients = 128

// Service is what a supervisor offers.
type Service interface {
	// Stop asks for the pod's end and doesn't wait for it.
	Stop(request *Stop) error
	// Exec runs a program and returns its exit status when its output has been
	// handed over. The descriptors belong to it.
	Exec(ctx context.Context, request *Exec, files []*os.File, client *Client) (int, error)
}

// Server serves one pod's supervisor.
type Server struct {
	listener *net.UnixListener
	clients  chan struct{} // as many as there are conversations
	working  sync.WaitGroup
}

// Listen makes the socket in the working directory, for root alone. A socket
// that a killed supervisor left is replaced: the caller holds the pod's lock.
//
// The path stays relative because a socket's address has room for 107 bytes.
func Listen() (*Server, error) {
	if err := os.Remove(stage1.ControlSocket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := net.ListenUnix(network, &net.UnixAddr{Name: stage1.ControlSocket, Net: network})
	if err != nil {
		return nil, err
	}
	// Connecting takes write permission, so this keeps everybody else out even
	// before the peer's credentials are looked at.
	if err := os.Chmod(stage1.ControlSocket, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return &Server{listener: listener, clients: make(chan struct{}, maxClients)}, nil
}

// Serve answers with service until Close.
func (s *Server) Serve(ctx context.Context, service Service) error {
	for {
		c, err := s.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case s.clients <- struct{}{}:
		default:
			c.Close() // it will see that nobody answers
			continue
		}
		s.working.Go(func() {
			defer func() { <-s.clients }()
			defer c.Close()
			if isRoot(c) {
				converse(ctx, newConn(c), service)
			}
		})
	}
}

// Close ends Serve. Wait waits for what is still being said.
func (s *Server) Close() error { return s.listener.Close() }

// Wait returns when all conversations are over or ctx is done.
func (s *Server) Wait(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		s.working.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// isRoot tells whether the other side runs as root, or as this program.
func isRoot(c *net.UnixConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var peer *unix.Ucred
	var peerErr error
	err = raw.Control(func(fd uintptr) {
		peer, peerErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil || peerErr != nil {
		return false
	}
	return peer.Uid == 0 || int(peer.Uid) == os.Geteuid()
}

// converse serves one client.
func converse(ctx context.Context, c *conn, service Service) {
	var request Request
	files, err := c.receive(&request)
	if err != nil {
		return // there is nobody to tell
	}
	switch kind := request.Kind.(type) {
	case *Request_Stop:
		closeFiles(files)
		err = service.Stop(kind.Stop)
		reply(c, &Reply{Kind: &Reply_Done{&Done{}}}, err)
	case *Request_Exec:
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		client := &Client{conn: c, requests: make(chan *Request)}
		go client.listen(ctx)
		status, err := service.Exec(ctx, kind.Exec, files, client)
		reply(c, &Reply{Kind: &Reply_Exited{&Exited{Status: int32(status)}}}, err)
	default:
		closeFiles(files)
	}
}

// reply answers, or says why not. A client that is gone misses nothing.
func reply(c *conn, r *Reply, err error) {
	if err != nil {
		r = &Reply{Kind: &Reply_Error{&Error{Message: err.Error(), Hint: errhint.Of(err)}}}
	}
	_ = c.send(r)
}

// Client is the client of an Exec.
type Client struct {
	conn     *conn
	requests chan *Request
}

// Started tells it that its program runs.
func (c *Client) Started(pid int) error {
	return c.conn.send(&Reply{Kind: &Reply_Started{&Started{Pid: int32(pid)}}})
}

// Requests returns the channel of what it asks for meanwhile. It is closed when
// the client is gone, or says what makes no sense.
func (c *Client) Requests() <-chan *Request { return c.requests }

func (c *Client) listen(ctx context.Context) {
	defer close(c.requests)
	for {
		var r Request
		files, err := c.conn.receive(&r)
		if err != nil {
			return
		}
		closeFiles(files)
		select {
		case c.requests <- &r:
		case <-ctx.Done():
			return
		}
	}
}
