package appc_test

import (
	"testing"

	"rkt/internal/appc"
)

func TestParseQuantity(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]struct{ value, milli int64 }{
		"0":         {0, 0},
		"1":         {1, 1000},
		"500m":      {1, 500},
		"1500m":     {2, 1500},
		"0.5":       {1, 500},
		".5":        {1, 500},
		"1.":        {1, 1000},
		"16Mi":      {16 << 20, 16 << 20 * 1000},
		"50M":       {50_000_000, 50_000_000_000},
		"1G":        {1e9, 1e12},
		"1.5Gi":     {3 << 29, 3 << 29 * 1000},
		"2Ki":       {2048, 2048000},
		"3k":        {3000, 3000000},
		"1e3":       {1000, 1000000},
		"1E3":       {1000, 1000000},
		"12e-1":     {2, 1200},
		"+4":        {4, 4000},
		"1E":        {1e18, 1<<63 - 1},
		"1Ei":       {1 << 60, 1<<63 - 1},
		"0.0000001": {1, 1},
	} {
		q, err := appc.ParseQuantity(in)
		if err != nil || q.Value() != want.value || q.MilliValue() != want.milli || q.String() != in {
			t.Errorf("ParseQuantity(%q) = %d, %d, %v; want %d, %d", in, q.Value(), q.MilliValue(), err, want.value, want.milli)
		}
	}
	for _, in := range []string{
		"", "M", "-1", "1 M", "1MM", "1mi", "1ki", "1i", "1.2.3", "0x10", "1e", "1e99", "1e-99", "9Ei", "1_000",
		"1K", "inf", "NaN", "1e+", "11111111111111111111111111111111111111111111111", "1/2", "٣",
	} {
		if q, err := appc.ParseQuantity(in); err == nil {
			t.Errorf("ParseQuantity(%q) = %d", in, q.Value())
		}
	}
}

func FuzzParseQuantity(f *testing.F) {
	for _, s := range []string{"0", "16Mi", "1.5G", "500m", "1e3", "1E", ".5", "1E-3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := appc.ParseQuantity(s)
		if err == nil && (q.Value() < 0 || q.MilliValue() < q.Value()-1) {
			t.Errorf("%q is %d, in thousandths %d", s, q.Value(), q.MilliValue())
		}
	})
}
