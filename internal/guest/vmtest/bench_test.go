package vmtest_test

import (
	"bufio"
	"context"
	"slices"
	"testing"
	"time"

	"rkt/internal/guest/client"
)

// BenchmarkMachine runs machines from start to end, with one app, and reports
// the median of each step in milliseconds, as the host sees it.
func BenchmarkMachine(b *testing.B) {
	steps := []string{"hello", "configure", "start", "output", "exit", "shutdown", "warm-start", "warm-output"}
	took := map[string][]time.Duration{}
	for b.Loop() {
		m := start(b)
		last := m.booted
		lap := func(step string) {
			now := time.Now()
			took[step] = append(took[step], now.Sub(last))
			last = now
		}
		ctx, cancel := context.WithTimeout(b.Context(), testTimeout)
		if _, err := m.Hello(ctx); err != nil {
			b.Fatal(err)
		}
		lap("hello")
		if err := m.Configure(ctx, benchConfig()); err != nil {
			b.Fatal(err)
		}
		lap("configure")
		first := benchApp(b, ctx, m, "first", lap, "start", "output")
		last = time.Now()
		first.Close()
		m.exit(b)
		lap("exit")
		second := benchApp(b, ctx, m, "second", lap, "warm-start", "warm-output")
		last = time.Now()
		second.Close()
		m.shutdown(b, time.Minute)
		lap("shutdown")
		cancel()
	}
	for _, step := range steps {
		slices.Sort(took[step])
		median := took[step][len(took[step])/2]
		b.ReportMetric(float64(median.Microseconds())/1000, step+"-ms")
	}
}

func benchConfig() client.Config {
	return client.Config{
		Hostname:  "bench",
		MachineID: "00112233445566778899aabbccddeeff",
		Scratch:   &client.Disk{LUN: scratchLUN, Filesystem: "ext4"},
	}
}

// closer ends an app by its input.
type closer interface{ Close() error }

// benchApp starts an app that says something at once and ends with its input.
func benchApp(b *testing.B, ctx context.Context, m *machine, name string, lap func(string), steps ...string) closer {
	b.Helper()
	app := spec(name, "echo")
	app.Stdin = true
	started, err := m.StartApp(ctx, app)
	if err != nil {
		b.Fatal(err)
	}
	lap(steps[0])
	if _, err := bufio.NewReader(started.Stdio.Stdout).ReadString('\n'); err != nil {
		b.Fatal(err)
	}
	lap(steps[1])
	return started.Stdio.Stdin
}
