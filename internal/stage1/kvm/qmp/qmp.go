// Package qmp speaks the QEMU Machine Protocol with one QEMU over a socket.
//
// The protocol is described in QEMU's documentation, "QEMU Machine Protocol
// Specification" and "QMP Reference Manual". QEMU is not trusted: a line is at
// most MaxLine bytes, and a peer that breaks the protocol ends the session.
package qmp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// MaxLine is the longest message accepted, in bytes.
const MaxLine = 1 << 20

// ErrClosed is the error of calls on a session that has ended.
var ErrClosed = errors.New("qmp: session ended")

// Error is QEMU's own refusal of a command.
type Error struct {
	Command string
	Class   string
	Desc    string
}

func (e *Error) Error() string { return fmt.Sprintf("qemu refused %s: %s", e.Command, e.Desc) }

// Event is something QEMU tells unasked.
type Event struct {
	Name string
	Data json.RawMessage
}

// Client is one session. Its methods may be called concurrently.
type Client struct {
	conn   *net.UnixConn
	events chan Event

	writing sync.Mutex // keeps a descriptor and the command it belongs to together

	mu      sync.Mutex
	lastID  uint64
	pending map[uint64]chan reply
	ended   error
}

type reply struct {
	value json.RawMessage
	err   error
}

// message is any line that QEMU sends.
type message struct {
	ID     *uint64         `json:"id"`
	QMP    json.RawMessage `json:"QMP"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
}

type command struct {
	Execute   string `json:"execute"`
	Arguments any    `json:"arguments,omitempty"`
	ID        uint64 `json:"id"`
}

// New takes over conn, reads QEMU's greeting and negotiates capabilities.
func New(ctx context.Context, conn *net.UnixConn) (*Client, error) {
	c := &Client{conn: conn, events: make(chan Event, 64), pending: make(map[uint64]chan reply)}
	greeted := make(chan struct{})
	go c.read(greeted)
	select {
	case <-greeted:
	case <-ctx.Done():
		conn.Close()
		return nil, fmt.Errorf("wait for qemu's greeting: %w", ctx.Err())
	}
	if err := c.Execute(ctx, "qmp_capabilities", nil, nil); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// Events returns the channel of events. It is closed when the session ends.
// Events that nobody reads are dropped once 64 are waiting.
func (c *Client) Events() <-chan Event { return c.events }

// Close ends the session. QEMU goes on.
func (c *Client) Close() error { return c.conn.Close() }

// Execute runs a command and stores what it returns in result, unless that is
// nil.
func (c *Client) Execute(ctx context.Context, name string, arguments, result any) error {
	return c.execute(ctx, name, arguments, result, nil)
}

// AddFD passes an open file to QEMU, which from then on opens it under the
// name "/dev/fdset/ID".
func (c *Client) AddFD(ctx context.Context, set int, file *os.File) error {
	return c.execute(ctx, "add-fd", map[string]any{"fdset-id": set}, nil, unix.UnixRights(int(file.Fd())))
}

func (c *Client) execute(ctx context.Context, name string, arguments, result any, rights []byte) error {
	id, answer, err := c.register()
	if err != nil {
		return err
	}
	defer c.forget(id)
	if err := c.send(command{name, arguments, id}, rights); err != nil {
		return fmt.Errorf("send %s: %w", name, err)
	}
	select {
	case r := <-answer:
		var refused *Error
		if errors.As(r.err, &refused) {
			refused.Command = name
		}
		if r.err != nil || result == nil {
			return r.err
		}
		if err := json.Unmarshal(r.value, result); err != nil {
			return fmt.Errorf("answer to %s: %w", name, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", name, ctx.Err())
	}
}

func (c *Client) register() (uint64, <-chan reply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return 0, nil, c.ended
	}
	c.lastID++
	answer := make(chan reply, 1)
	c.pending[c.lastID] = answer
	return c.lastID, answer, nil
}

func (c *Client) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, id)
}

func (c *Client) send(cmd command, rights []byte) error {
	line, err := json.Marshal(cmd)
	if err != nil {
		return err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	// A stream socket may take a part only; descriptors go with the first.
	n, _, err := c.conn.WriteMsgUnix(append(line, '\n'), rights, nil)
	if err != nil {
		return err
	}
	_, err = c.conn.Write(append(line, '\n')[n:])
	return err
}

func (c *Client) read(greeted chan<- struct{}) {
	lines := bufio.NewScanner(c.conn)
	lines.Buffer(make([]byte, 0, 4096), MaxLine)
	err := error(nil)
	for err == nil && lines.Scan() {
		var m message
		if m, err = parse(lines.Bytes()); err != nil {
			break
		}
		if m.QMP != nil && greeted != nil {
			close(greeted)
			greeted = nil
		}
		c.dispatch(m)
	}
	c.end(errors.Join(ErrClosed, err, lines.Err()), greeted)
}

// parse reads one line of QEMU.
func parse(line []byte) (message, error) {
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return m, fmt.Errorf("malformed message: %w", err)
	}
	return m, nil
}

func (c *Client) dispatch(m message) {
	if m.Event != "" {
		select {
		case c.events <- Event{m.Event, m.Data}:
		default:
		}
		return
	}
	if m.ID == nil {
		return
	}
	c.mu.Lock()
	answer := c.pending[*m.ID]
	delete(c.pending, *m.ID)
	c.mu.Unlock()
	if answer == nil {
		return
	}
	r := reply{value: m.Return}
	if m.Error != nil {
		r.err = &Error{Class: m.Error.Class, Desc: m.Error.Desc}
	}
	answer <- r
}

// end fails everything that still waits.
func (c *Client) end(err error, greeted chan<- struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = err
	for id, answer := range c.pending {
		answer <- reply{err: err}
		delete(c.pending, id)
	}
	close(c.events)
	if greeted != nil {
		close(greeted) // the capabilities call tells why
	}
}
