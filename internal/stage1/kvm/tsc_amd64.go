package kvm

// readTSC returns the processor's time stamp counter.
func readTSC() uint64
