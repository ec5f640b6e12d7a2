package mux

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// kind is a frame's type.
type kind uint8

const (
	// kindHello is each side's first frame, on channel 0: the session's number.
	kindHello kind = iota + 1
	// kindData carries bytes from a channel's writer to its reader.
	kindData
	// kindEnd follows a writer's last data, once.
	kindEnd
	// kindCredit lets a channel's writer send that many more bytes.
	kindCredit
	// kindStop says that a channel's reader takes nothing more. It answers
	// kindEnd or comes before it, once.
	kindStop
)

func (k kind) String() string {
	switch k {
	case kindHello:
		return "hello"
	case kindData:
		return "data"
	case kindEnd:
		return "end"
	case kindCredit:
		return "credit"
	case kindStop:
		return "stop"
	}
	return fmt.Sprintf("type %d", uint8(k))
}

const (
	headerSize = 8
	helloSize  = 8
	creditSize = 4
	// maxPayload keeps one channel's frame from holding up the others for long.
	maxPayload = 32 << 10
)

// header is what precedes each frame's payload: type, a zero byte, the
// payload's length in two bytes and the channel in four, big-endian.
type header struct {
	kind    kind
	length  int
	channel uint32
}

var errFrame = errors.New("bad frame")

// put writes the header to the first headerSize bytes of b.
func (h header) put(b []byte) {
	b[0], b[1] = byte(h.kind), 0
	binary.BigEndian.PutUint16(b[2:], uint16(h.length))
	binary.BigEndian.PutUint32(b[4:], h.channel)
}

// parseHeader reads the first headerSize bytes of b and checks whatever can be
// checked without knowing the channel.
func parseHeader(b []byte) (header, error) {
	h := header{
		kind:    kind(b[0]),
		length:  int(binary.BigEndian.Uint16(b[2:])),
		channel: binary.BigEndian.Uint32(b[4:]),
	}
	if b[1] != 0 {
		return h, fmt.Errorf("%w: reserved byte is %d", errFrame, b[1])
	}
	var fits bool
	switch h.kind {
	case kindHello:
		fits = h.length == helloSize
	case kindData:
		fits = h.length > 0 && h.length <= maxPayload
	case kindCredit:
		fits = h.length == creditSize
	case kindEnd, kindStop:
		fits = h.length == 0
	default:
		return h, fmt.Errorf("%w: %v", errFrame, h.kind)
	}
	if !fits {
		return h, fmt.Errorf("%w: %v with %d bytes", errFrame, h.kind, h.length)
	}
	if (h.kind == kindHello) != (h.channel == 0) {
		return h, fmt.Errorf("%w: %v on channel %d", errFrame, h.kind, h.channel)
	}
	return h, nil
}
