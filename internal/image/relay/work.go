package relay

import (
	"hash"
	"io"
)

// Ahead reads on from a reader while what it has read is used. It must be
// closed.
type Ahead struct {
	*Reader
	done chan struct{}
}

// NewAhead returns a reader of the same bytes that ends with the same error.
func NewAhead(r io.Reader) *Ahead {
	from, to := New()
	a := &Ahead{from, make(chan struct{})}
	go func() {
		defer close(a.done)
		_, err := to.ReadFrom(r)
		to.CloseWithError(err)
	}()
	return a
}

// Close waits until nothing is read any more.
func (a *Ahead) Close() error {
	err := a.Reader.Close()
	<-a.done
	return err
}

// Consumer is a writer whose bytes a function reads at the same time. One of
// Wait and Close must be called.
type Consumer struct {
	to   *Writer
	from *Reader
	done chan struct{}
	err  error // the function's
}

// NewConsumer calls read in a goroutine with the bytes that will be written.
// Where read doesn't want the rest, it may return early.
func NewConsumer(read func(io.Reader) error) *Consumer {
	from, to := New()
	c := &Consumer{to: to, from: from, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = read(from)
		_ = from.Close()
	}()
	return c
}

// Write fails with ErrClosed once the function has returned.
func (c *Consumer) Write(p []byte) (int, error) { return c.to.Write(p) }

// Wait ends the stream with err, io.EOF if it is nil, and returns what the
// function has returned.
func (c *Consumer) Wait(err error) error {
	c.to.CloseWithError(err)
	<-c.done
	return c.err
}

// Close gives up: the function's reads fail with ErrClosed. It does nothing
// after Wait.
func (c *Consumer) Close() error {
	_ = c.Wait(ErrClosed)
	return nil
}

// Digest takes a digest in a goroutine. Close must be called.
type Digest struct {
	*Consumer
	hash hash.Hash
}

// NewDigest returns a writer whose bytes go into h.
func NewDigest(h hash.Hash) *Digest {
	return &Digest{hash: h, Consumer: NewConsumer(func(r io.Reader) error {
		_, err := io.Copy(h, r)
		return err
	})}
}

// Sum returns the digest of all that was written. Nothing may be written after
// it.
func (d *Digest) Sum() []byte {
	_ = d.Wait(nil) // a hash takes everything
	return d.hash.Sum(nil)
}
