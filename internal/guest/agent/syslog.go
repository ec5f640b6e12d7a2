//go:build linux

package agent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/guest/mux"
	"rkt/internal/linux"
)

// maxDatagram is how much of one message to the system's log is kept.
const maxDatagram = 64 << 10

// syslog serves the sockets at which an app's programs expect the system's log:
// there is no journald in here. What they send becomes lines of the app's log.
type syslog struct {
	out     *mux.Writer
	sockets []syslogSocket
	loops   sync.WaitGroup
	lines   sync.Mutex // one message at a time
}

// syslogSocket is one of the sockets, and what its messages say.
type syslogSocket struct {
	conn *net.UnixConn
	text func([]byte) []byte
}

// listen makes both sockets in an app's root. An image may have something in
// their way; then there is none.
func (s *syslog) listen(root linux.Root) error {
	sockets := []struct {
		dir, name string
		text      func([]byte) []byte
	}{
		{"/dev", "log", syslogText},
		{"/run/systemd/journal", "socket", journalText},
	}
	for _, socket := range sockets {
		conn, err := listenIn(root, socket.dir, socket.name)
		if err != nil {
			return fmt.Errorf("listen at %s/%s: %w", socket.dir, socket.name, err)
		}
		own := syslogSocket{conn, socket.text}
		s.sockets = append(s.sockets, own)
		s.loops.Go(func() { s.serve(own) })
	}
	return nil
}

func listenIn(root linux.Root, dir, name string) (*net.UnixConn, error) {
	d, err := root.EnsureDir(dir, 0o755)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	// By descriptor: an address has no room for a long path.
	path := fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), name)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	return conn, errors.Join(os.Chmod(path, 0o666))
}

// serve passes on what comes until close.
func (s *syslog) serve(socket syslogSocket) {
	b, rights := make([]byte, maxDatagram), make([]byte, unix.CmsgSpace(4))
	for {
		n, rn, _, _, err := socket.conn.ReadMsgUnix(b, rights)
		if err != nil {
			return
		}
		closeRights(rights[:rn])
		s.pass(socket.text(b[:n]))
	}
}

func (s *syslog) pass(message []byte) {
	message = bytes.TrimRight(message, "\n\x00")
	if len(message) == 0 {
		return
	}
	s.lines.Lock()
	defer s.lines.Unlock()
	// Who no longer wants it is no reason for the app's programs to wait.
	_, _ = s.out.Write(append(bytes.Clone(message), '\n'))
}

// closeRights closes descriptors that came with a message.
func closeRights(b []byte) {
	messages, err := unix.ParseSocketControlMessage(b)
	if err != nil {
		return
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}
}

// close ends the sockets, once what was sent to them has been taken.
func (s *syslog) close() {
	for _, socket := range s.sockets {
		_ = socket.conn.SetReadDeadline(time.Now())
	}
	s.loops.Wait()
	for _, socket := range s.sockets {
		s.drain(socket)
		socket.conn.Close()
	}
	s.out.Close()
}

// drain takes what is there without waiting for more.
func (s *syslog) drain(socket syslogSocket) {
	raw, err := socket.conn.SyscallConn()
	if err != nil {
		return
	}
	b := make([]byte, maxDatagram)
	_ = raw.Control(func(fd uintptr) {
		for {
			n, _, err := unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT)
			if err != nil {
				return
			}
			s.pass(socket.text(b[:n]))
		}
	})
}

// syslogText returns a message without its priority and its time, which are in
// front: RFC 3164, section 4.1.
func syslogText(b []byte) []byte {
	const longestPriority, timeLength = 5, len("Nov 25 18:04:05 ")
	if end := bytes.IndexByte(b, '>'); end > 1 && end < longestPriority && b[0] == '<' {
		b = b[end+1:]
	}
	if len(b) >= timeLength && b[3] == ' ' && b[6] == ' ' && b[9] == ':' && b[12] == ':' && b[15] == ' ' {
		b = b[timeLength:]
	}
	return b
}

// journalText returns the message of an entry for the journal, after the name
// of who sends it. Source: systemd's "Native Journal Protocol".
func journalText(b []byte) []byte {
	var identifier, message []byte
	for len(b) > 0 {
		name, value, rest := journalField(b)
		switch string(name) {
		case "SYSLOG_IDENTIFIER":
			identifier = value
		case "MESSAGE":
			message = value
		}
		b = rest
	}
	if message == nil || identifier == nil {
		return message
	}
	return bytes.Join([][]byte{identifier, message}, []byte(": "))
}

// journalField takes one field off an entry: NAME=value on a line, or a line
// with the name, the value's length in eight bytes, the value, and a newline.
func journalField(b []byte) (name, value, rest []byte) {
	line, rest, _ := bytes.Cut(b, []byte("\n"))
	if name, value, ok := bytes.Cut(line, []byte("=")); ok {
		return name, value, rest
	}
	const lengthSize = 8
	if len(rest) < lengthSize {
		return nil, nil, nil
	}
	length := binary.LittleEndian.Uint64(rest)
	rest = rest[lengthSize:]
	if length > uint64(len(rest)) {
		return nil, nil, nil
	}
	value, rest = rest[:length], rest[length:]
	return line, value, bytes.TrimPrefix(rest, []byte("\n"))
}
