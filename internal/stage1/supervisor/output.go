package supervisor

import (
	"bytes"
	"fmt"
	"sync"
	"time"
)

// maxLine is the longest line printed as one, in bytes. What is longer is
// printed in pieces.
const maxLine = 16 << 10

// printer writes the lines of several apps to one output, each whole and with
// the time and the name of its app.
type printer struct {
	now func() time.Duration // the host's monotonic clock

	mu  sync.Mutex
	out *patientWriter
}

// line prints one line of an app.
func (p *printer) line(app string, pid int, text []byte) {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	var b bytes.Buffer
	fmt.Fprintf(&b, "[%5d.%06d] %s[%d]: ", now/time.Second, now%time.Second/time.Microsecond, app, pid)
	b.Write(bytes.TrimSuffix(text, []byte("\r")))
	b.WriteByte('\n')
	p.out.put(b.Bytes())
}

// lines returns a writer that prints what one output of an app says. Its Write
// never fails; Close prints a last line without an end.
func (p *printer) lines(app string, pid int) *lines { return &lines{printer: p, app: app, pid: pid} }

type lines struct {
	printer *printer
	app     string
	pid     int
	pending []byte
}

// Write prints the complete lines, and pieces of one that got too long.
func (l *lines) Write(b []byte) (int, error) {
	written := len(b)
	b = append(l.pending, b...)
	for {
		end := bytes.IndexByte(b, '\n')
		switch {
		case end >= 0 && end <= maxLine:
			l.printer.line(l.app, l.pid, b[:end])
			b = b[end+1:]
		case len(b) > maxLine:
			l.printer.line(l.app, l.pid, b[:maxLine])
			b = b[maxLine:]
		default:
			l.pending = append([]byte(nil), b...)
			return written, nil
		}
	}
}

// Close prints what is left.
func (l *lines) Close() error {
	if len(l.pending) > 0 {
		l.printer.line(l.app, l.pid, l.pending)
		l.pending = nil
	}
	return nil
}
