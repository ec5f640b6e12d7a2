package pod_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"rkt/internal/pod"
)

func TestWaitFinished(t *testing.T) {
	t.Parallel()
	pods := pod.In(t.TempDir())
	p := create(t, pods)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := get(t, pods, p.UUID).WaitFinished(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waited for a pod that is being prepared: %v", err)
	}
	waiter := get(t, pods, p.UUID)
	finished := make(chan error, 1)
	go func() { finished <- waiter.WaitFinished(t.Context()) }()
	if err := errors.Join(p.Start(), p.Close()); err != nil {
		t.Fatal(err)
	}
	if err := <-finished; err != nil {
		t.Error(err)
	}
}

func TestWaitReady(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(*pod.Pod) error{
		"gets ready": func(p *pod.Pod) error {
			return errors.Join(p.Start(), p.WriteFile("stage1/rootfs/rkt/supervisor-status", nil))
		},
		"ends before":  func(p *pod.Pod) error { return errors.Join(p.Start(), p.Close()) },
		"is discarded": (*pod.Pod).Discard,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pods := pod.In(t.TempDir())
			p := create(t, pods)
			waiter := get(t, pods, p.UUID)
			ready := make(chan error, 1)
			go func() { ready <- waiter.WaitReady(t.Context()) }()
			if err := act(p); err != nil {
				t.Fatal(err)
			}
			if err := <-ready; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWaitReadyGivesUp(t *testing.T) {
	t.Parallel()
	pods := pod.In(t.TempDir())
	p := create(t, pods)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := get(t, pods, p.UUID).WaitReady(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waited for a pod that does nothing: %v", err)
	}
}
