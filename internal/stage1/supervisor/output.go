package supervisor

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// maxLine is the longest line printed as one, in bytes. What is longer is
// printed in pieces.
const maxLine = 16 << 10

// printer writes the lines of several apps to one output, each whole and with
// the time and the name of its app. Once the output fails, everything is
// swallowed: an app doesn't end because nobody listens.
type printer struct {
	now func() time.Duration // the host's monotonic clock

	mu     sync.Mutex
	out    io.Writer
	failed bool
}

// line prints one line of an app.
func (p *printer) line(app string, pid int, text []byte) {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed {
		return
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "[%5d.%06d] %s[%d]: ", now/time.Second, now%time.Second/time.Microsecond, app, pid)
	b.Write(bytes.TrimSuffix(text, []byte("\r")))
	b.WriteByte('\n')
	_, err := p.out.Write(b.Bytes())
	p.failed = err != nil
}

// copyLines prints what r holds until its end.
func (p *printer) copyLines(app string, pid int, r io.Reader) {
	var pending []byte
	buffer := make([]byte, 32<<10)
	for {
		n, err := r.Read(buffer)
		pending = append(pending, buffer[:n]...)
		pending = p.flush(app, pid, pending)
		if err != nil {
			break
		}
	}
	if len(pending) > 0 {
		p.line(app, pid, pending)
	}
}

// flush prints the complete lines of b, and pieces of one that got too long,
// and returns the rest.
func (p *printer) flush(app string, pid int, b []byte) []byte {
	for {
		end := bytes.IndexByte(b, '\n')
		switch {
		case end >= 0 && end <= maxLine:
			p.line(app, pid, b[:end])
			b = b[end+1:]
		case len(b) > maxLine:
			p.line(app, pid, b[:maxLine])
			b = b[maxLine:]
		default:
			return append([]byte(nil), b...)
		}
	}
}
