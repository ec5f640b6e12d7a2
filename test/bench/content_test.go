package main

import (
	"bytes"
	"testing"

	"rkt/internal/image/archive"
)

// TestContent shows that what is fetched is an image, and the same each time.
func TestContent(t *testing.T) {
	t.Parallel()
	const size = 20_000_000
	var first, second bytes.Buffer
	for _, b := range []*bytes.Buffer{&first, &second} {
		if err := newContent().write(b, `{"a":"manifest"}`, size); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same size gives other bytes")
	}
	info, err := archive.Scan(&first, archive.Limits{}, nil)
	if err != nil || info.Size < size || info.Size > size*11/10 || info.Entries < 20 {
		t.Errorf("%+v, %v", info, err)
	}
}
