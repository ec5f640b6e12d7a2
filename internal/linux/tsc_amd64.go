package linux

// readTSC returns the processor's time stamp counter.
func readTSC() uint64
