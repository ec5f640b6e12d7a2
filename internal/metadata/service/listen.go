package service

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

const (
	// maxConnections is how many a pod may have open at once.
	maxConnections = 32
	maxHeader      = 8 << 10
	// patience bounds a request, its answer, and how long a connection may idle.
	patience = 30 * time.Second
)

// listener serves the pods of one gateway.
type listener struct{ server *http.Server }

func (s *Service) listen(gateway netip.Addr) (*listener, error) {
	address := net.TCPAddrFromAddrPort(netip.AddrPortFrom(gateway, s.port))
	tcp, err := net.ListenTCP("tcp4", address)
	if err != nil {
		return nil, err
	}
	l := &listener{&http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, IdleTimeout: patience,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       log.New(io.Discard, "", 0), // what guests provoke is no message
	}}
	counted := &doorkeeper{Listener: tcp, known: func(a netip.Addr) bool { return len(s.at(a)) > 0 }, open: make(map[netip.Addr]int)}
	go func() {
		if err := l.server.Serve(counted); !errors.Is(err, http.ErrServerClosed) {
			s.notify(err.Error())
		}
	}()
	return l, nil
}

// close ends all connections, too.
func (l *listener) close() { _ = l.server.Close() }

// doorkeeper lets in only those who are known, and few connections of each.
type doorkeeper struct {
	net.Listener
	known func(netip.Addr) bool

	mu   sync.Mutex
	open map[netip.Addr]int // connections by source
}

// Accept returns the next connection that is let in.
func (d *doorkeeper) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		source, ok := sourceOf(conn.RemoteAddr().String())
		if ok && d.known(source) && d.enter(source) {
			return &counted{Conn: conn, leave: sync.OnceFunc(func() { d.leave(source) })}, nil
		}
		conn.Close()
	}
}

func (d *doorkeeper) enter(source netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open[source] >= maxConnections {
		return false
	}
	d.open[source]++
	return true
}

func (d *doorkeeper) leave(source netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open[source]--; d.open[source] == 0 {
		delete(d.open, source)
	}
}

type counted struct {
	net.Conn
	leave func()
}

// Close closes the connection and makes room for another.
func (c *counted) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

func sourceOf(remote string) (netip.Addr, bool) {
	from, err := netip.ParseAddrPort(remote)
	return from.Addr().Unmap(), err == nil
}
