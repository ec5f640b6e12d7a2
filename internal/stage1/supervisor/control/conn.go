package control

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
)

const (
	// maxMessage is the most bytes one message may have: what a guest's agent
	// takes, and its wrapping.
	maxMessage = 1 << 20
	// maxLaterMessage is the same for all but a conversation's first message.
	maxLaterMessage = 4 << 10
	// maxFiles is the most descriptors that come with a message.
	maxFiles = 3
)

// conn is a conversation: packets, each a whole message.
type conn struct {
	*net.UnixConn
	limit int // of the next message
}

func newConn(c *net.UnixConn) *conn { return &conn{c, maxMessage} }

// send sends a message with descriptors.
func (c *conn) send(m proto.Message, files ...*os.File) error {
	wire, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	if len(wire) > maxMessage {
		return fmt.Errorf("a message of %d bytes is too long", len(wire))
	}
	var rights []byte
	if len(files) > 0 {
		var fds []int
		for _, f := range files {
			fds = append(fds, int(f.Fd()))
		}
		rights = unix.UnixRights(fds...)
	}
	if len(wire) == 0 {
		return errors.New("an empty message") // would look like the end
	}
	_, _, err = c.WriteMsgUnix(wire, rights, nil)
	return err
}

// receive takes the next message and the descriptors that came with it, which
// belong to the caller. The end is io.EOF.
func (c *conn) receive(m proto.Message) ([]*os.File, error) {
	b, rights := make([]byte, c.limit+1), make([]byte, unix.CmsgSpace(4*maxFiles))
	n, rn, flags, _, err := c.ReadMsgUnix(b, rights)
	files, rightsErr := parseRights(rights[:rn])
	switch {
	case err != nil:
	case rightsErr != nil:
		err = rightsErr
	case n == 0:
		err = io.EOF
	case n > c.limit || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
		err = errors.New("message is too long")
	default:
		err = proto.Unmarshal(b[:n], m)
	}
	if err != nil {
		closeFiles(files)
		return nil, err
	}
	c.limit = maxLaterMessage
	return files, nil
}

func parseRights(b []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(b)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // something else
		}
		for _, fd := range fds {
			// So that waiting for it can be ended. The client's ends are others.
			if err := unix.SetNonblock(fd, true); err != nil {
				return files, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fd))
			}
			files = append(files, os.NewFile(uintptr(fd), "client"))
		}
	}
	return files, nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
