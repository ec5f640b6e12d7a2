package supervisor

import (
	"io"
	"os"
	"sync"
	"time"

	"rkt/internal/stage1/applog"
)

// consoleDir keeps what the machine of a pod in the background says on its
// console, in the format of package applog.
const consoleDir = "console"

// console returns what takes the machine's boot messages, which are as many as
// the guest likes: whoever watches, or a bounded log where nobody does.
func console() (io.Writer, error) {
	info, err := os.Stderr.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return os.Stderr, nil
	}
	log, err := applog.Create(consoleDir, applog.DefaultLimits(), time.Now)
	if err != nil {
		return nil, err
	}
	return &consoleLog{stream: log.Stream(consoleDir)}, nil
}

// consoleLog lets several write to a log's stream.
type consoleLog struct {
	mu     sync.Mutex
	stream *applog.Stream
}

// Write never fails.
func (c *consoleLog) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stream.Write(b)
}
