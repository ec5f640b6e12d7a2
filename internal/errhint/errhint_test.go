package errhint_test

import (
	"errors"
	"fmt"
	"testing"

	"rkt/internal/errhint"
)

func TestOf(t *testing.T) {
	t.Parallel()
	base := errors.New("disk full")
	err := fmt.Errorf("store image: %w", errhint.With(base, "free some space"))
	if got := errhint.Of(err); got != "free some space" {
		t.Errorf("Of = %q", got)
	}
	if err.Error() != "store image: disk full" {
		t.Errorf("the hint leaked into the message: %q", err)
	}
	if !errors.Is(err, base) {
		t.Error("the cause is lost")
	}
	if errhint.With(nil, "x") != nil {
		t.Error("With(nil) is not nil")
	}
	if errhint.Of(base) != "" {
		t.Error("a plain error has a hint")
	}
}
