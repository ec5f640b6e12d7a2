package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"rkt/internal/guest/guestproto"
)

// guard is a control stream that lets nothing in but what answers a request:
// ttrpc itself would take messages of four times the size, log every stray one
// and go on. It follows the message headers of both directions.
//
// ttrpc: PROTOCOL.md, "message frame": length, stream, type, flags.
type guard struct {
	conn io.ReadWriteCloser
	in   follower
	out  follower

	mu      sync.Mutex
	pending map[uint32]bool // requests without an answer
	err     error           // how the other side broke the rules
}

const (
	messageHeader   = 10
	messageRequest  = 1
	messageResponse = 2
)

// message is what a header says.
type message struct {
	length uint32
	stream uint32
	kind   uint8
	flags  uint8
}

func newGuard(conn io.ReadWriteCloser) *guard {
	return &guard{conn: conn, pending: map[uint32]bool{}}
}

// violation returns how the other side broke the rules, or nil.
func (g *guard) violation() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// Read reads answers. A byte after the first header that breaks a rule is
// never returned.
func (g *guard) Read(p []byte) (int, error) {
	n, err := g.conn.Read(p)
	if bad := g.in.follow(p[:n], g.admit); bad != nil {
		g.mu.Lock()
		g.err = bad
		g.mu.Unlock()
		return 0, bad
	}
	return n, err
}

// Write writes requests, which are ours: it notes them before they are out.
func (g *guard) Write(p []byte) (int, error) {
	if err := g.out.follow(p, g.note); err != nil {
		return 0, err
	}
	return g.conn.Write(p)
}

func (g *guard) note(m message) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m.kind == messageRequest {
		g.pending[m.stream] = true
	}
	return nil
}

func (g *guard) admit(m message) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case m.length > guestproto.MaxMessage:
		return fmt.Errorf("message of %d bytes", m.length)
	case m.kind != messageResponse:
		return fmt.Errorf("message of type %d", m.kind)
	case m.flags != 0:
		return fmt.Errorf("message with flags %#x", m.flags)
	case !g.pending[m.stream]:
		return fmt.Errorf("answer to request %d, which does not wait for one", m.stream)
	}
	delete(g.pending, m.stream)
	return nil
}

// follower finds the message headers in a stream that comes in pieces.
type follower struct {
	header [messageHeader]byte
	have   int
	skip   int64 // bytes left of the current message
}

// follow calls see for each header that is complete within p.
func (f *follower) follow(p []byte, see func(message) error) error {
	for len(p) > 0 {
		if f.skip > 0 {
			n := min(f.skip, int64(len(p)))
			p, f.skip = p[n:], f.skip-n
			continue
		}
		n := copy(f.header[f.have:], p)
		p, f.have = p[n:], f.have+n
		if f.have < messageHeader {
			return nil
		}
		f.have = 0
		m := message{
			length: binary.BigEndian.Uint32(f.header[0:]),
			stream: binary.BigEndian.Uint32(f.header[4:]),
			kind:   f.header[8],
			flags:  f.header[9],
		}
		if err := see(m); err != nil {
			return err
		}
		f.skip = int64(m.length)
	}
	return nil
}

// What follows makes a guard the net.Conn that ttrpc wants. ttrpc sets no
// deadlines and asks for no addresses.

// Close closes the stream.
func (g *guard) Close() error { return g.conn.Close() }

// LocalAddr returns a name for the stream.
func (g *guard) LocalAddr() net.Addr { return streamAddr{} }

// RemoteAddr returns a name for the stream.
func (g *guard) RemoteAddr() net.Addr { return streamAddr{} }

var errNoDeadline = errors.New("stream has no deadlines")

// SetDeadline is not supported.
func (g *guard) SetDeadline(time.Time) error { return errNoDeadline }

// SetReadDeadline is not supported.
func (g *guard) SetReadDeadline(time.Time) error { return errNoDeadline }

// SetWriteDeadline is not supported.
func (g *guard) SetWriteDeadline(time.Time) error { return errNoDeadline }

type streamAddr struct{}

func (streamAddr) Network() string { return "stream" }
func (streamAddr) String() string  { return "machine" }
