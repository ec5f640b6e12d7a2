package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"

	"rkt/test/certificate"
)

// imageHost is the host that has the image, which is this machine.
const imageHost = "localhost"

// server serves the workspace over HTTPS on the loopback interface of namespaces
// of its own, and the page that says where the image is.
type server struct {
	rooms     *namespaces
	http      *http.Server
	served    chan error
	authority string // file with the certificate of who vouches for the server
}

// newServer starts it.
func newServer(ctx context.Context, w *workspace) (*server, error) {
	config, authority, err := certificate.New([]string{imageHost})
	if err != nil {
		return nil, err
	}
	s := &server{authority: w.path("authority.pem"), served: make(chan error, 1)}
	if err := os.WriteFile(s.authority, authority, 0o600); err != nil {
		return nil, err
	}
	files := http.NewServeMux()
	files.Handle("/files/", http.StripPrefix("/files/", http.FileServer(http.Dir(w.path("site")))))
	files.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `<meta name="ac-discovery" content="%[1]s https://%[1]s/files/image.{ext}">`, imageHost)
	})
	s.http = &http.Server{Handler: files, ReadHeaderTimeout: time.Minute, TLSConfig: config}
	if s.rooms, err = newNamespaces(); err != nil {
		return nil, err
	}
	if err := s.listen(ctx); err != nil {
		s.rooms.close()
		return nil, err
	}
	return s, nil
}

// listen begins to serve. A socket belongs to the namespace it was made in.
func (s *server) listen(ctx context.Context) error {
	if _, err := s.rooms.tool(exec.CommandContext(ctx, "ip", "link", "set", "lo", "up")); err != nil {
		return err
	}
	var listener net.Listener
	var err error
	s.rooms.do(func() { listener, err = net.Listen("tcp", "127.0.0.1:443") })
	if err != nil {
		return err
	}
	go func() { s.served <- s.http.ServeTLS(listener, "", "") }()
	return nil
}

// close stops serving.
func (s *server) close() error {
	err := s.http.Close()
	if end := <-s.served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	s.rooms.close()
	return err
}
