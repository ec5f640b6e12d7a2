package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"
)

// politeEnd is the body of a server that sends one byte and, when it is left,
// ends as if that were all.
type politeEnd struct {
	left <-chan struct{}
	sent bool
}

func (p *politeEnd) Read(b []byte) (int, error) {
	if !p.sent {
		p.sent = true
		return copy(b, "x"), nil
	}
	<-p.left
	return 0, io.EOF
}

func (p *politeEnd) Close() error { return nil }

func TestEndAfterLeavingIsNoEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	b := newBody(ctx, cancel, &http.Response{Body: &politeEnd{left: ctx.Done()}, ContentLength: -1}, time.Millisecond)
	if _, err := io.ReadAll(b); !errors.Is(err, ErrStalled) {
		t.Errorf("reading what a stalled server sent: %v, want %v", err, ErrStalled)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
