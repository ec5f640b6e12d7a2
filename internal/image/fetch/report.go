package fetch

import (
	"errors"
	"io"

	"rkt/internal/image/web"
)

// reportedBody is the body of a response whose arrival is reported.
type reportedBody struct {
	io.Reader
	transfer Transfer
	ended    bool
}

// reported returns the body of a response; have bytes of it are there already.
// Closing it ends the report, not the response.
func (f *Fetcher) reported(r *web.Response, label string, have int64) *reportedBody {
	b := &reportedBody{Reader: r.Body}
	if f.Reporter == nil {
		b.ended = true
		return b
	}
	total := r.Length
	if total >= 0 {
		total += have
	}
	b.transfer = f.Reporter.Transfer(label, total)
	b.transfer.Add(have)
	return b
}

func (b *reportedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if b.ended {
		return n, err
	}
	b.transfer.Add(int64(n))
	switch {
	case errors.Is(err, io.EOF):
		b.end(nil)
	case err != nil:
		b.end(err)
	}
	return n, err
}

func (b *reportedBody) end(err error) {
	if !b.ended {
		b.ended = true
		b.transfer.Done(err)
	}
}

// errAborted is reported for a download that its reader has given up.
var errAborted = errors.New("aborted")

// Close ends the report.
func (b *reportedBody) Close() error {
	b.end(errAborted)
	return nil
}
