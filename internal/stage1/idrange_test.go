package stage1_test

import (
	"testing"

	"rkt/internal/stage1"
)

func TestIDRange(t *testing.T) {
	t.Parallel()
	for _, r := range []stage1.IDRange{{1, 1}, {2063597568, 65536}, {1<<32 - 2, 1}} {
		if got, err := stage1.ParseIDRange(r.String()); got != r || err != nil {
			t.Errorf("%s became %s, %v", r, got, err)
		}
	}
	for _, bad := range []string{"", "1", ":", "1:", ":1", "0:65536", "1:0", "-1:5", "4294967294:2", "1:4294967295", "4294967296:1", "1:2:3", " 1:2", "x:y"} {
		if got, err := stage1.ParseIDRange(bad); err == nil {
			t.Errorf("%q became %s", bad, got)
		}
	}
	if text := (stage1.IDRange{}).String(); text != "" {
		t.Errorf("no range is %q", text)
	}
}
