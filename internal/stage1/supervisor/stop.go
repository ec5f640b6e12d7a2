package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"rkt/internal/fault"
	"rkt/internal/network"
	"rkt/internal/stage1/supervisor/control"
)

// stops collects requests to end the pod.
type stops struct {
	requests chan struct{} // the first request
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
			s.request()
		} else {
			raise(s.urgent)
		}
	}
}

// request asks for the pod's end; asking again changes nothing.
func (s *stops) request() { raise(s.requests) }

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
			s.request()
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

// controlService is what the supervisor offers to other entry points.
type controlService struct{ stops *stops }

func (c controlService) Stop(context.Context, *control.StopRequest) (*control.StopResponse, error) {
	c.stops.request()
	return &control.StopResponse{}, nil
}

// Stop asks the pod in the working directory to end, and returns at once. With
// force, or if the pod has processes but no supervisor, it kills them and
// returns when they are gone. A pod that has ended already is no error.
func Stop(ctx context.Context, uuid string, force bool) error {
	if !force {
		fault.Point("stop.ask.before")
		err := control.Stop(ctx)
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
	if err := network.Teardown(ctx, uuid, lock); err != nil {
		return fmt.Errorf("take the pod off its networks: %w", err)
	}
	fault.Point("gc.cgroup.before")
	err = group.Remove()
	fault.Point("gc.cgroup.after")
	return err
}
