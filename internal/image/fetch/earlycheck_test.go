package fetch

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"rkt/internal/appc"
	"rkt/internal/image/trust"
)

// TestEarlyCheck shows that only all of the bytes that were signed, by a key for
// the very name, count as signed.
func TestEarlyCheck(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	data := bytes.Repeat([]byte("an image\n"), 100_000)
	sig, err := readSignature(bytes.NewReader(b.signer.Sign(t, data)))
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(data)
	changed[len(changed)-1] ^= 1
	for _, tc := range []struct {
		desc   string
		name   string // that was asked for
		bytes  []byte
		end    error
		image  string // its name
		signed bool
	}{
		{"good", "example.com/a", data, nil, "example.com/a", true},
		{"changed", "example.com/a", changed, nil, "example.com/a", false},
		{"cut off", "example.com/a", data[:len(data)-1], nil, "example.com/a", false},
		{"all there, but an error", "example.com/a", data, io.ErrUnexpectedEOF, "example.com/a", false},
		{"nothing", "example.com/a", nil, nil, "example.com/a", false},
		{"a key for another name", "example.com/b", data, nil, "example.com/b", false},
		{"an image by another name", "example.com/a", data, nil, "example.com/a/b", false},
	} {
		c := b.fetcher.checkEarly(appc.ACIdentifier(tc.name), sig)
		if n, err := c.Write(tc.bytes); n != len(tc.bytes) || err != nil {
			t.Errorf("%s: writing: %d, %v", tc.desc, n, err)
		}
		c.end(tc.end)
		if signer := c.signerFor(appc.ACIdentifier(tc.image)); (signer != nil) != tc.signed {
			t.Errorf("%s: signed by %v", tc.desc, signer)
		}
	}
	var none *earlyCheck
	if none.signerFor("example.com/a") != nil {
		t.Error("nothing was checked, and somebody has signed it")
	}
}

// TestSignatureIsCheckedOnTheWay shows that an image by name is signed or refused
// as any other.
func TestSignatureIsCheckedOnTheWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(pathA, w.image("example.com/a"))
	id := w.must("example.com/a:1.0")
	img, err := w.fetcher.Store.Get(id)
	if err != nil || img.SignedBy == "" {
		t.Fatalf("signed by %q, %v", img.SignedBy, err)
	}
	w.fetcher.Policy = PullUpdate
	bad := w.image("example.com/a")
	sig := w.signer.Sign(t, bad)
	bad[len(bad)-1] ^= 1
	w.handlers[pathA], w.handlers[pathA+".asc"] = send(bad), send(sig)
	if _, err := w.fetch("example.com/a:1.0", Options{}); !errors.Is(err, trust.ErrBadSignature) {
		t.Errorf("got %v", err)
	}
}
