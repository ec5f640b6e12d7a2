package stage1_test

import (
	"testing"

	"rkt/internal/stage1"
)

func TestDiskSize(t *testing.T) {
	t.Parallel()
	for _, size := range []stage1.DiskSize{stage1.MinDiskSize, 1 << 30, stage1.MaxDiskSize} {
		if got, err := stage1.ParseDiskSize(size.File()); got != size || err != nil {
			t.Errorf("%d became %d, %v", size, got, err)
		}
	}
	for _, bad := range []string{"", "\n", "-1\n", "16777215\n", "8796093022209\n", "1e9\n", "99999999999999999999\n", " 16777216"} {
		if got, err := stage1.ParseDiskSize([]byte(bad)); err == nil {
			t.Errorf("%q became %d", bad, got)
		}
	}
}
