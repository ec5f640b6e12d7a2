// Package control is the conversation between a pod's supervisor and the other
// entry points of its stage1 image, over a unix socket in the pod's directory.
package control

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-ttrpc_out=. --go-ttrpc_opt=paths=source_relative control.proto

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/containerd/ttrpc"
	"golang.org/x/sys/unix"

	"rkt/internal/stage1"
)

// ErrNotRunning means that no supervisor serves the pod.
var ErrNotRunning = errors.New("the pod's supervisor does not answer")

// Server serves one pod's supervisor.
type Server struct {
	server   *ttrpc.Server
	listener net.Listener
}

// Listen makes the socket in the working directory, for root alone. A socket
// that a killed supervisor left is replaced: the caller holds the pod's lock.
//
// The path stays relative because a socket's address has room for 107 bytes.
func Listen() (*Server, error) {
	if err := os.Remove(stage1.ControlSocket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	config := net.ListenConfig{}
	listener, err := config.Listen(context.Background(), "unix", stage1.ControlSocket)
	if err != nil {
		return nil, err
	}
	// Connecting takes write permission, so this keeps everybody else out even
	// before the peer's credentials are looked at.
	if err := os.Chmod(stage1.ControlSocket, 0o600); err != nil {
		return nil, err
	}
	server, err := ttrpc.NewServer(ttrpc.WithServerHandshaker(ttrpc.UnixSocketRequireSameUser()))
	if err != nil {
		return nil, err
	}
	return &Server{server, listener}, nil
}

// Serve answers with service until Close.
func (s *Server) Serve(ctx context.Context, service SupervisorService) error {
	RegisterSupervisorService(s.server, service)
	err := s.server.Serve(ctx, s.listener)
	if errors.Is(err, ttrpc.ErrServerClosed) {
		return nil
	}
	return err
}

// Close ends Serve and every conversation.
func (s *Server) Close() error { return s.server.Close() }

// Stop asks the supervisor of the pod in the working directory to end it.
func Stop(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", stage1.ControlSocket)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return ErrNotRunning
	}
	if err != nil {
		return err
	}
	client := ttrpc.NewClient(conn)
	defer client.Close()
	if _, err := NewSupervisorClient(client).Stop(ctx, &StopRequest{}); err != nil {
		return fmt.Errorf("ask the supervisor to stop: %w", err)
	}
	return nil
}
