package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"sync/atomic"
	"time"
)

// A server has to send leastBytes in every stallWindow.
const (
	stallWindow = 30 * time.Second
	leastBytes  = 8 << 10
)

// CutError means that a connection has ended before all was sent.
type CutError struct {
	Got, Total int64 // in bytes; Total is -1 if it is not known
}

// Error says how much has come.
func (e *CutError) Error() string {
	total := "an unknown number of bytes"
	if e.Total >= 0 {
		total = fmt.Sprintf("%d bytes", e.Total)
	}
	return fmt.Sprintf("the server has closed the connection after %d of %s", e.Got, total)
}

// body is the body of a response that is watched.
type body struct {
	ctx      context.Context //nolint:containedctx // it belongs to the response
	cancel   context.CancelCauseFunc
	response *http.Response
	window   time.Duration
	timer    *time.Timer
	recent   atomic.Int64 // bytes since the window began
	got      int64
}

func newBody(ctx context.Context, cancel context.CancelCauseFunc, r *http.Response, window time.Duration) *body {
	b := &body{ctx: ctx, cancel: cancel, response: r, window: window}
	// The timer must be known before it may fire.
	b.timer = time.AfterFunc(math.MaxInt64, b.watch)
	b.timer.Reset(window)
	return b
}

// watch gives up if too little came in the window that is over.
func (b *body) watch() {
	if b.recent.Swap(0) < leastBytes {
		b.cancel(ErrStalled)
		return
	}
	b.timer.Reset(b.window)
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.response.Body.Read(p)
	b.recent.Add(int64(n))
	b.got += int64(n)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		// What is done with the data afterwards may take its time.
		b.timer.Stop()
		// Leaving a server closes the connection, which some servers answer with
		// an orderly end of what they were sending.
		if b.ctx.Err() != nil {
			err = context.Cause(b.ctx)
		}
	case errors.Is(err, io.ErrUnexpectedEOF) && b.ctx.Err() == nil:
		err = &CutError{Got: b.got, Total: b.response.ContentLength}
	default:
		err = causeOf(b.ctx, err)
	}
	return n, err
}

// Close ends the request, whether all of the body has come or not.
func (b *body) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.response.Body.Close()
}
