package linux_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"rkt/internal/linux"
)

func TestWatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, err := linux.NewWatch()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Add(dir); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := w.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing changed, but: %v", err)
	}
	write(t, filepath.Join(dir, "new"))
	if err := w.Wait(t.Context()); err != nil {
		t.Errorf("a change was missed: %v", err)
	}
	if err := w.Add(filepath.Join(dir, "missing")); err == nil {
		t.Error("a missing directory is watched")
	}
}
