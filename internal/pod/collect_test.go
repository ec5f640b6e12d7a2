package pod_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/linux"
	"rkt/internal/linux/linuxtest"
	"rkt/internal/pod"
)

const stage1Manifest = `{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/stage1",
	"labels":[{"name":"os","value":"linux"},{"name":"arch","value":"amd64"}],
	"annotations":[
	{"name":"coreos.com/rkt/stage1/run","value":"/run"},
	{"name":"coreos.com/rkt/stage1/stop","value":"/stop"},
	{"name":"coreos.com/rkt/stage1/gc","value":"/gc"},
	{"name":"coreos.com/rkt/stage1/interface-version","value":"7"},
	{"name":"coreos.com/rkt/stage1/app-format","value":"disk"}]}`

// tree is a directory with entry points.
type tree string

func (d tree) add(t *testing.T, name, script string) {
	t.Helper()
	if err := linuxtest.WriteProgram(filepath.Join(string(d), name), []byte("#!/bin/sh\n"+script)); err != nil {
		t.Fatal(err)
	}
}

func (d tree) find(_, path string) (string, error) {
	program := filepath.Join(string(d), path)
	if _, err := os.Stat(string(d)); err != nil {
		return "", fmt.Errorf("%w: %w", pod.ErrNoStage1, err)
	}
	_, err := os.Stat(program)
	return program, err
}

// ended makes a pod that has run in the stage1 of the tree.
func ended(t *testing.T, pods *pod.Pods, programs tree) *pod.Pod {
	t.Helper()
	p := create(t, pods)
	s, err := pod.NewStage1("tree-id", []byte(stage1Manifest), programs.find)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.SetStage1(s), p.WriteFile("pod", []byte(podManifest)), p.Start(), p.Close()); err != nil {
		t.Fatal(err)
	}
	// Between fork and exec, what other tests start has the lock as well.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return p
}

// collector notes what it is told.
func collector(pods *pod.Pods, programs tree) (*pod.Collector, *[]string) {
	var events []string
	return &pod.Collector{
		Pods: pods,
		Call: pod.Call{Programs: programs.find, LocalConfig: "/etc/rkt"},
		Now:  time.Now,
		Notify: func(event pod.Event, uuid string) {
			events = append(events, fmt.Sprint(event, " ", uuid))
		},
	}, &events
}

func collect(t *testing.T, c *pod.Collector) error {
	t.Helper()
	return errors.Join(c.Collect(t.Context())...)
}

func event(e pod.Event, p *pod.Pod) string { return fmt.Sprint(e, " ", p.UUID) }

func wantEvents(t *testing.T, got *[]string, want ...string) {
	t.Helper()
	if !slices.Equal(*got, want) {
		t.Errorf("events %v, want %v", *got, want)
	}
	*got = nil
}

func TestCollect(t *testing.T) {
	t.Parallel()
	data, programs := t.TempDir(), tree(t.TempDir())
	pods := pod.In(data)
	log := filepath.Join(t.TempDir(), "log")
	programs.add(t, "gc", `test -f pod && test "$RKT_LOCK_FD" = 3 && echo "$0 $*" >>`+log)
	exited := ended(t, pods, programs)
	aborted := create(t, pods)
	_ = aborted.Close()
	alive := create(t, pods)
	c, events := collector(pods, programs)
	c.GracePeriod = time.Hour

	if err := collect(t, c); err != nil {
		t.Fatal(err)
	}
	wantEvents(t, events, event(pod.MovedExited, exited), event(pod.MovedAborted, aborted), event(pod.InGrace, exited))
	wantState(t, get(t, pods, exited.UUID), pod.ExitedGarbage)

	c.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if err := collect(t, c); err != nil {
		t.Fatal(err)
	}
	wantEvents(t, events, event(pod.Removing, exited))
	if got, err := os.ReadFile(log); err != nil || !strings.HasSuffix(string(got), "/gc --local-config /etc/rkt "+exited.UUID+"\n") {
		t.Errorf("gc entry point: %q, %v", got, err)
	}
	wantState(t, alive, pod.Preparing)
	if err := alive.Discard(); err != nil {
		t.Fatal(err)
	}
	wantNoPods(t, data)
}

func TestCollectMarksOnly(t *testing.T) {
	t.Parallel()
	pods, programs := pod.In(t.TempDir()), tree(t.TempDir())
	exited := ended(t, pods, programs)
	c, events := collector(pods, programs)
	c.MarkOnly = true
	if err := collect(t, c); err != nil {
		t.Fatal(err)
	}
	wantEvents(t, events, event(pod.MovedExited, exited))
}

func TestCollectTriesAgain(t *testing.T) {
	t.Parallel()
	data, programs := t.TempDir(), tree(t.TempDir())
	pods := pod.In(data)
	programs.add(t, "gc", "echo why >&2; exit 3")
	exited := ended(t, pods, programs)
	c, _ := collector(pods, programs)
	var stderr bytes.Buffer
	c.Call.Stderr = &stderr
	err := collect(t, c)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || stderr.String() != "why\n" {
		t.Errorf("failing gc entry point: %v, stderr %q", err, &stderr)
	}
	p := get(t, pods, exited.UUID)
	wantState(t, p, pod.ExitedGarbage)
	if _, err := p.Manifest(); err != nil {
		t.Errorf("the manifest is gone: %v", err)
	}
	programs.add(t, "gc", "")
	if err := collect(t, c); err != nil {
		t.Error(err)
	}
	wantNoPods(t, data)
}

func TestCollectWithoutStage1(t *testing.T) {
	t.Parallel()
	for name, breakIt := range map[string]func(t *testing.T, data string, p *pod.Pod, programs tree){
		"no tree": func(t *testing.T, _ string, _ *pod.Pod, programs tree) {
			t.Helper()
			if err := os.RemoveAll(string(programs)); err != nil {
				t.Fatal(err)
			}
		},
		"truncated manifest": func(t *testing.T, data string, p *pod.Pod, _ tree) {
			t.Helper()
			if err := os.Truncate(filepath.Join(data, "pods/run", p.UUID, "stage1/manifest"), 0); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, programs := t.TempDir(), tree(t.TempDir())
			pods := pod.In(data)
			exited := ended(t, pods, programs)
			breakIt(t, data, exited, programs)
			c, events := collector(pods, programs)
			if err := collect(t, c); err != nil {
				t.Error(err)
			}
			wantEvents(t, events, event(pod.MovedExited, exited), event(pod.Removing, exited), event(pod.NoStage1, exited))
			wantNoPods(t, data)
		})
	}
}

func TestCollectStopsAtMounts(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts: run it as root")
	}
	data, programs, outside := t.TempDir(), tree(t.TempDir()), t.TempDir()
	pods := pod.In(data)
	programs.add(t, "gc", "")
	exited := ended(t, pods, programs)
	mnt := filepath.Join(data, "pods/run", exited.UUID, "stage1/mnt")
	if err := errors.Join(os.WriteFile(outside+"/kept", nil, 0o600), os.Mkdir(mnt, 0o700),
		unix.Mount(outside, mnt, "", unix.MS_BIND, "")); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(data, "pods/garbage", exited.UUID)
	unmount := func() { _ = unix.Unmount(moved+"/stage1/mnt", unix.MNT_DETACH) }
	t.Cleanup(unmount)
	c, _ := collector(pods, programs)
	if err := collect(t, c); !errors.Is(err, linux.ErrMountPoint) {
		t.Errorf("collect across a mount: %v", err)
	}
	for _, path := range []string{outside + "/kept", moved + "/pod"} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	unmount()
	if err := collect(t, c); err != nil {
		t.Error(err)
	}
	wantNoPods(t, data)
}

func TestRemove(t *testing.T) {
	t.Parallel()
	data, programs := t.TempDir(), tree(t.TempDir())
	pods := pod.In(data)
	programs.add(t, "gc", "")
	c, events := collector(pods, programs)

	p := create(t, pods)
	reader := get(t, pods, p.UUID)
	if err := c.Remove(t.Context(), reader); !errors.Is(err, pod.ErrPreparing) {
		t.Errorf("remove a pod that is being prepared: %v", err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if err := c.Remove(t.Context(), reader); !errors.Is(err, pod.ErrRunning) {
		t.Errorf("remove a running pod: %v", err)
	}
	_ = p.Close()
	wantEvents(t, events)
	if err := c.Remove(t.Context(), reader); err != nil {
		t.Errorf("remove a pod that has ended: %v", err)
	}
	wantEvents(t, events, event(pod.NoStage1, p))
	_ = reader.Close()

	exited := ended(t, pods, programs)
	aborted := create(t, pods)
	_ = aborted.Close()
	for _, old := range []*pod.Pod{exited, aborted} {
		if err := c.Remove(t.Context(), get(t, pods, old.UUID)); err != nil {
			t.Error(err)
		}
	}
	wantEvents(t, events, event(pod.MovedAborted, aborted))
	wantNoPods(t, data)
}

// TestManyAtOnce lets collectors, readers and makers of pods get in each
// other's way.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	data, programs := t.TempDir(), tree(t.TempDir())
	pods := pod.In(data)
	programs.add(t, "gc", "")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 3)
	for range 2 {
		go func() {
			c, _ := collector(pods, programs)
			for ctx.Err() == nil {
				if err := collect(t, c); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	go func() {
		for ctx.Err() == nil {
			for p, err := range pods.All() {
				if err == nil {
					_, err = p.Info()
					_ = p.Close()
				}
				if err != nil && !errors.Is(err, pod.ErrGone) {
					done <- err
					return
				}
			}
		}
		done <- nil
	}()
	for range 100 {
		p := create(t, pods)
		wantState(t, p, pod.Preparing)
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		wantState(t, p, pod.Running)
		_ = p.Close()
	}
	cancel()
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	c, _ := collector(pods, programs)
	if err := collect(t, c); err != nil {
		t.Error(err)
	}
	wantNoPods(t, data)
}
