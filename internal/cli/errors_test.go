package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rkt/internal/errhint"
)

func TestErrorsAreShortened(t *testing.T) {
	t.Parallel()
	missing := &os.PathError{Op: "open", Path: "/x", Err: errors.New("no such file")}
	chain := fmt.Errorf("run pod: %w", fmt.Errorf("read manifest: %w", missing))
	for name, test := range map[string]struct {
		err          error
		plain, debug string
	}{
		"one link": {errors.New("bad"), "run: bad\n", "run: bad\n"},
		"chain": {
			chain, "run: run pod: open /x: no such file\n",
			"run: run pod\n  └─read manifest\n    └─open /x: no such file\n",
		},
		"detailed": {
			fmt.Errorf("prepare: %w", detail(chain)),
			"run: prepare: run pod: read manifest: open /x: no such file\n",
			"run: prepare\n  └─run pod\n    └─read manifest\n      └─open /x: no such file\n",
		},
		"hint": {
			errhint.With(chain, "do this"), "run: run pod: open /x: no such file\nhint: do this\n",
			"run: run pod\n  └─read manifest\n    └─open /x: no such file\nhint: do this\n",
		},
		"text after the cause": {fmt.Errorf("a (%w)", missing), "run: a (open /x: no such file)\n", "run: a (open /x: no such file)\n"},
		"control characters":   {errors.New("a\x1b[2Jb"), "run: a\uFFFD[2Jb\n", "run: a\uFFFD[2Jb\n"},
	} {
		for debug, want := range map[bool]string{false: test.plain, true: test.debug} {
			var b bytes.Buffer
			messages{w: &b, prefix: "run", debug: debug}.err(test.err)
			if diff := cmp.Diff(want, b.String()); diff != "" {
				t.Errorf("%s, debug %v: %s", name, debug, diff)
			}
		}
	}
}
