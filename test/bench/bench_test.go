package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNewSpread(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	tests := []struct {
		name      string
		durations []time.Duration
		want      spread
	}{
		{"one", []time.Duration{2 * ms}, spread{2, 2, 2}},
		{"odd", []time.Duration{9 * ms, 1 * ms, 2 * ms}, spread{2, 1, 9}},
		{"even", []time.Duration{4 * ms, 1 * ms, 2 * ms, 9 * ms}, spread{3, 1, 9}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, newSpread(test.durations)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCompareRounds(t *testing.T) {
	t.Parallel()
	seconds := func(n ...time.Duration) timing {
		var samples []sample
		for _, n := range n {
			samples = append(samples, sample{exit: n * time.Second})
		}
		return newTiming("", samples)
	}
	got := compareRounds([]timing{seconds(3, 1, 8), seconds(1, 3, 1), seconds(1, 1, 1)})
	if diff := cmp.Diff(roundRatio{Median: 1.5, Min: 0.25, Max: 4}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	c := commandLine{
		"/usr/bin/qemu", "-m", "256M", "-append", "root=/dev/vda init=/sbin/init quiet",
		"-chardev", "socket,id=qmp,fd=5", "-mon", "chardev=qmp,mode=control",
		"-chardev", "socket,id=console,fd=6", "-serial", "chardev:console",
		"-add-fd", "fd=7,set=1,opaque=root", "-blockdev", "file.filename=/dev/fdset/1",
		"-chardev", "socket,id=control,fd=3",
	}
	d, err := c.descriptors()
	if err != nil {
		t.Fatal(err)
	}
	want := descriptors{console: 6, sockets: []int{5, 3}, disk: 7}
	if diff := cmp.Diff(want, d, cmp.AllowUnexported(descriptors{})); diff != "" {
		t.Error(diff)
	}
	memory, err := c.memoryBytes()
	if err != nil || memory != 256<<20 {
		t.Errorf("memory %d, %v", memory, err)
	}
	changed, err := c.withInit("/bench")
	if err != nil {
		t.Fatal(err)
	}
	if changed[4] != "root=/dev/vda init=/bench quiet" || c[4] == changed[4] {
		t.Errorf("changed %q, original %q", changed[4], c[4])
	}
}

func TestCommandLineOfAnotherForm(t *testing.T) {
	t.Parallel()
	for _, c := range []commandLine{
		nil,
		{"qemu", "-serial"},
		{"qemu", "-serial", "chardev:console"},
		{"qemu", "-serial", "chardev:c", "-chardev", "socket,id=c,fd=99999"},
		{"qemu", "-append", "quiet"},
	} {
		if _, err := c.descriptors(); !errors.Is(err, errCommandLine) {
			t.Errorf("%q: %v", c, err)
		}
		if _, err := c.withInit("/bench"); !errors.Is(err, errCommandLine) {
			t.Errorf("%q: %v", c, err)
		}
	}
}

func TestParseSmaps(t *testing.T) {
	t.Parallel()
	const smaps = `55d0c0000000-55d0c0021000 rw-p 00000000 00:00 0                          [heap]
Size:                132 kB
KernelPageSize:        4 kB
Pss:                 100 kB
VmFlags: rd wr mr mw me ac
7f0000000000-7f0010000000 rw-p 00000000 00:00 0
Size:             262144 kB
Pss:               65536 kB
`
	got, err := parseSmaps(strings.NewReader(smaps))
	if err != nil {
		t.Fatal(err)
	}
	want := []mapping{{132 << 10, 100 << 10}, {256 << 20, 64 << 20}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(mapping{})); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"Pss: 1 kB\n", "a-b rw-p\nSize: x kB\n", "a-b rw-p\nSize: 1 MB\n"} {
		if _, err := parseSmaps(strings.NewReader(bad)); !errors.Is(err, errSmaps) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
