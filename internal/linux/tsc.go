package linux

import (
	"time"

	"golang.org/x/sys/unix"
)

// shortestTSCSpan is what a measurement must span for an error of at most some
// parts in 100,000: reading both clocks takes well under 200 ns.
const shortestTSCSpan = 5 * time.Millisecond

// TSCMeter measures how fast the host's time stamp counter runs. QEMU passes
// the counter on to emulated guests, and a guest on a busy host fails to find
// its speed by itself: then its clock moves in steps of 4 ms.
type TSCMeter struct {
	counter uint64
	clock   time.Duration
}

// NewTSCMeter starts a measurement.
func NewTSCMeter() TSCMeter {
	// On a busy host the thread may have to wait between two readings. The
	// closest of several pairs are of one moment.
	const tries = 5
	var best TSCMeter
	closest := ^uint64(0)
	for range tries {
		before := readTSC()
		clock := rawClock()
		if apart := readTSC() - before; apart < closest {
			closest, best = apart, TSCMeter{before + apart/2, clock}
		}
	}
	return best
}

// Kilohertz ends the measurement. It is 0 where there is no such counter. A
// measurement that is still too short is first made long enough, for which
// nothing but time has to pass.
func (m TSCMeter) Kilohertz() uint64 {
	if m.counter == 0 {
		return 0
	}
	if rest := shortestTSCSpan - (rawClock() - m.clock); rest > 0 {
		<-time.After(rest)
	}
	now := NewTSCMeter()
	return (now.counter - m.counter) * uint64(time.Millisecond) / uint64(now.clock-m.clock)
}

// rawClock returns the monotonic clock as the hardware runs.
func rawClock() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC_RAW, &now); err != nil {
		return 0 // every kernel has this clock
	}
	return time.Duration(now.Nano())
}
