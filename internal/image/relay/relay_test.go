package relay_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"rkt/internal/image/relay"
)

var errTest = errors.New("of the test")

// noise returns more than the buffers of a relay hold.
func noise() []byte {
	b := make([]byte, 3<<20+17)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(b)
	return b
}

// onlyWriter and onlyReader hide the faster ways to copy.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

func TestRelay(t *testing.T) {
	t.Parallel()
	want := noise()
	for name, piece := range map[string]int{"bytes": 1, "pieces": 1000, "large": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := want[:min(len(want), piece*5000)]
			from, to := relay.New()
			go func() {
				for rest := data; len(rest) > 0; {
					n, err := to.Write(rest[:min(piece, len(rest))])
					if err != nil {
						t.Error(err)
					}
					rest = rest[n:]
				}
				to.CloseWithError(nil)
				to.CloseWithError(errTest) // too late
			}()
			got, err := io.ReadAll(iotest.HalfReader(from))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v; want %d", len(got), err, len(data))
			}
			if err := from.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRelayOfNothing(t *testing.T) {
	t.Parallel()
	from, to := relay.New()
	to.CloseWithError(nil)
	if b, err := io.ReadAll(from); err != nil || len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
}

func TestWriterFails(t *testing.T) {
	t.Parallel()
	from, to := relay.New()
	if _, err := to.Write([]byte("before")); err != nil {
		t.Fatal(err)
	}
	to.CloseWithError(errTest)
	if b, err := io.ReadAll(from); !errors.Is(err, errTest) || string(b) != "before" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := from.Read(make([]byte, 1)); !errors.Is(err, errTest) {
		t.Errorf("again: %v", err)
	}
}

func TestReaderStops(t *testing.T) {
	t.Parallel()
	from, to := relay.New()
	ended := make(chan error)
	go func() {
		_, err := to.ReadFrom(bytes.NewReader(noise()))
		to.CloseWithError(err)
		ended <- err
	}()
	if _, err := io.ReadFull(from, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	_ = from.Close()
	_ = from.Close()
	if err := <-ended; !errors.Is(err, relay.ErrClosed) {
		t.Errorf("the writer got %v", err)
	}
}

func TestAhead(t *testing.T) {
	t.Parallel()
	want := noise()
	for name, source := range map[string]io.Reader{
		"good":         bytes.NewReader(want),
		"byte by byte": iotest.OneByteReader(bytes.NewReader(want)),
		"with its end": iotest.DataErrReader(bytes.NewReader(want)),
	} {
		a := relay.NewAhead(source)
		got, err := io.ReadAll(a)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		_ = a.Close()
	}
	a := relay.NewAhead(io.MultiReader(bytes.NewReader(want), iotest.ErrReader(errTest)))
	var got bytes.Buffer
	if n, err := io.Copy(&got, a); !errors.Is(err, errTest) || n != int64(len(want)) || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes, %v", n, err)
	}
	_ = a.Close()
	unread := relay.NewAhead(bytes.NewReader(want))
	_ = unread.Close() // returns although nobody has read
}

func TestDigest(t *testing.T) {
	t.Parallel()
	data := noise()
	d := relay.NewDigest(sha256.New())
	defer d.Close()
	if _, err := io.Copy(onlyWriter{d}, onlyReader{bytes.NewReader(data)}); err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(data)
	if got := d.Sum(); !bytes.Equal(got, want[:]) {
		t.Errorf("%x instead of %x", got, want)
	}
}

func TestConsumer(t *testing.T) {
	t.Parallel()
	early := relay.NewConsumer(func(r io.Reader) error {
		_, err := r.Read(make([]byte, 1))
		return errors.Join(errTest, err)
	})
	if n, err := early.Write(noise()); !errors.Is(err, relay.ErrClosed) {
		t.Errorf("%d, %v", n, err)
	}
	if err := early.Wait(nil); !errors.Is(err, errTest) {
		t.Errorf("what the function has returned: %v", err)
	}
	var seen error
	given := relay.NewConsumer(func(r io.Reader) error {
		_, seen = io.Copy(io.Discard, r)
		return seen
	})
	_ = given.Close()
	if !errors.Is(seen, relay.ErrClosed) {
		t.Errorf("the function saw %v", seen)
	}
}
