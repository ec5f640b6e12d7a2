package supervisor

import "rkt/internal/appc"

const mebibyte = 1 << 20

// What a machine needs for itself, and what an app gets that names no limit.
// Source: the founding page, "Memory".
const (
	systemMemory     = 128 * mebibyte
	defaultAppMemory = 128 * mebibyte
	// mostMemory is more than any host has, so that sums stay numbers.
	mostMemory = 1 << 60
)

// cpus returns how many CPUs the pod's machine has: each app's limit rounded
// up to whole CPUs and summed, at most those of the host; all of the host's if
// any app names no limit.
func cpus(apps []appc.RuntimeApp, host int) int {
	sum := int64(0)
	for _, app := range apps {
		milli, ok := app.App.Isolators.CPULimit()
		if !ok {
			return host
		}
		sum += (milli + 999) / 1000
		if sum >= int64(host) {
			return host
		}
	}
	return int(max(1, sum))
}

// memory returns the size of the pod's machine in bytes: the apps' limits, a
// default for each that names none, and what the system itself needs, rounded
// up to whole MiB.
func memory(apps []appc.RuntimeApp) int64 {
	sum := int64(systemMemory)
	for _, app := range apps {
		limit, ok := app.App.Isolators.MemoryLimit()
		if !ok {
			limit = defaultAppMemory
		}
		sum += min(limit, mostMemory-sum)
	}
	return (sum + mebibyte - 1) / mebibyte * mebibyte
}
