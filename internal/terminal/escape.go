package terminal

import (
	"bytes"
	"io"
	"time"
)

// escapeKey is Ctrl-a, as QEMU's and lkvm's consoles have it.
const escapeKey = 'a' & 0x1f

// Escapes filters keys: Ctrl-a x is taken out and calls Quit, Ctrl-a Ctrl-a
// stands for one Ctrl-a, and everything else goes to Out as it is. The third
// Ctrl-] within a second calls Quit, too.
type Escapes struct {
	Out  io.Writer
	Quit func()

	pending  bool        // the last key was Ctrl-a
	brackets []time.Time // of the last Ctrl-] that came one after the other
}

// tripled notes a key and reports whether it is the third Ctrl-] within a second,
// which is how containers are left.
// Source: systemd-nspawn(1).
func (e *Escapes) tripled(key byte) bool {
	const ctrlBracket, times = 0x1d, 3
	if key != ctrlBracket {
		e.brackets = nil
		return false
	}
	e.brackets = append(e.brackets, time.Now())
	if excess := len(e.brackets) - times; excess > 0 {
		e.brackets = e.brackets[excess:]
	}
	return len(e.brackets) == times && time.Since(e.brackets[0]) <= time.Second
}

// Write filters some keys. A Ctrl-a at the end waits for the key after it.
func (e *Escapes) Write(keys []byte) (int, error) {
	var out bytes.Buffer
	for _, k := range keys {
		if e.tripled(k) {
			e.Quit()
		}
		switch {
		case !e.pending && k == escapeKey:
			e.pending = true
			continue
		case !e.pending:
			out.WriteByte(k)
		case k == 'x':
			e.Quit()
		case k == escapeKey:
			out.WriteByte(escapeKey)
		default:
			out.Write([]byte{escapeKey, k})
		}
		e.pending = false
	}
	if out.Len() == 0 {
		return len(keys), nil
	}
	if _, err := e.Out.Write(out.Bytes()); err != nil {
		return 0, err
	}
	return len(keys), nil
}
