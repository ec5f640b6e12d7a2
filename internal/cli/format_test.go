package cli

import (
	"testing"
	"time"
)

func TestTimeAgo(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		-time.Second:           "now",
		999 * time.Millisecond: "now",
		time.Second:            "1 second ago",
		59 * time.Second:       "59 seconds ago",
		2 * time.Minute:        "2 minutes ago",
		90 * time.Minute:       "1 hour ago",
		day:                    "1 day ago",
		13 * day:               "1 week ago",
		45 * day:               "1 month ago",
		800 * day:              "2 years ago",
	} {
		if got := timeAgo(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[int64][2]string{
		0:           {"0B", "0 B"},
		999:         {"999B", "999 B"},
		1023:        {"1023B", "1.02 kB"},
		1 << 20:     {"1MiB", "1.05 MB"},
		5 << 19:     {"2.5MiB", "2.62 MB"},
		3_790_000:   {"3.61MiB", "3.79 MB"},
		123_456_789: {"118MiB", "123 MB"},
		1<<63 - 1:   {"8192PiB", "9223 PB"},
	} {
		if got := [2]string{binarySize(bytes), decimalSize(bytes)}; got != want {
			t.Errorf("%d: %q, want %q", bytes, got, want)
		}
	}
}
