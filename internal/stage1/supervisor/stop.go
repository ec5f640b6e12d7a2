package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/fault"
	"rkt/internal/stage1"
	"rkt/internal/stage1/supervisor/control"
)

// stops collects requests to end the pod.
type stops struct {
	requests chan struct{} // the first request
	timeout  atomic.Int64  // how long the apps may take, by the last request
	urgent   chan struct{} // a second one by key or signal: stop waiting
	byHand   chan struct{}
	signals  chan os.Signal
}

func newStops() *stops {
	s := &stops{
		requests: make(chan struct{}, 1),
		urgent:   make(chan struct{}, 1),
		byHand:   make(chan struct{}),
		signals:  make(chan os.Signal, 4),
	}
	s.timeout.Store(int64(appStopTimeout))
	signal.Notify(s.signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	// Writing to a pipe that nobody reads is an error for the printer, not the
	// end of the pod.
	signal.Ignore(unix.SIGPIPE)
	go s.collect()
	return s
}

func (s *stops) collect() {
	count := 0
	for {
		select {
		case _, open := <-s.signals:
			if !open {
				return
			}
		case <-s.byHand:
		}
		count++
		if count == 1 {
			s.request(appStopTimeout)
		} else {
			raise(s.urgent)
		}
	}
}

// request asks for the pod's end. Once that is on its way, asking again changes
// nothing.
func (s *stops) request(timeout time.Duration) {
	s.timeout.Store(int64(timeout))
	raise(s.requests)
}

// key asks for the pod's end from the keyboard; asking again hurries it.
func (s *stops) key() { s.byHand <- struct{}{} }

// cancel returns a context that ends when the pod is asked to end, and what
// tells whether that has happened. It must be called when the context's work is
// done; the request is not forgotten.
func (s *stops) cancel(ctx context.Context) (limited context.Context, stopped func() bool) {
	limited, cancel := context.WithCancel(ctx)
	finished, asked := make(chan struct{}), make(chan bool)
	go func() {
		select {
		case <-s.requests:
			cancel()
			raise(s.requests)
			asked <- true
		case <-finished:
			asked <- false
		}
	}()
	return limited, func() bool {
		close(finished)
		defer cancel()
		return <-asked
	}
}

func (s *stops) close() {
	signal.Stop(s.signals)
}

func raise(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Stop asks the pod in the working directory to end, and returns at once. Apps
// may take as long as args say. With force, or if the pod has processes but no
// supervisor, it kills them and returns when they are gone. A pod that has
// ended already is no error.
func Stop(ctx context.Context, args stage1.StopArgs) error {
	uuid := args.UUID
	if !args.Force {
		timeout := time.Duration(-1)
		if args.Timeout != nil {
			timeout = *args.Timeout
		}
		fault.Point("stop.ask.before")
		err := control.AskStop(ctx, timeout)
		fault.Point("stop.ask.after")
		if !errors.Is(err, control.ErrNotRunning) {
			return err
		}
	}
	group, err := recordedCgroup(uuid)
	if err != nil {
		return err
	}
	fault.Point("stop.kill.before")
	err = group.Kill(ctx)
	fault.Point("stop.kill.after")
	return err
}

// CollectGarbage removes what the ended pod in the working directory has left
// outside of that directory. It may be called again after any failure.
func CollectGarbage(ctx context.Context, uuid string) error {
	group, err := recordedCgroup(uuid)
	if err != nil {
		return err
	}
	fault.Point("gc.kill.before")
	if err := group.Kill(ctx); err != nil {
		return err
	}
	// Only when nothing of the pod's runs any more.
	lock, err := lockFile()
	if err != nil {
		return err
	}
	if err := undo(ctx, uuid, lock); err != nil {
		return fmt.Errorf("take the pod off its networks: %w", err)
	}
	fault.Point("gc.cgroup.before")
	err = group.Remove()
	fault.Point("gc.cgroup.after")
	return err
}
