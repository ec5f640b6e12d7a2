//go:build linux

package agent

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// appsEvents counts what memory limits have done to all apps so far. An app's
// own counter is gone as soon as the app is.
const appsEvents = "/sys/fs/cgroup/system.slice/memory.events"

// oomKills returns how many processes of apps were killed because memory ran
// out, or 0 if the kernel doesn't tell.
func oomKills() uint64 {
	f, err := os.Open(appsEvents)
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if count, ok := strings.CutPrefix(lines.Text(), "oom_kill "); ok {
			n, _ := strconv.ParseUint(count, 10, 64)
			return n
		}
	}
	return 0
}
