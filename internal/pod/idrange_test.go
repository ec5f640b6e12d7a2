package pod_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"rkt/internal/pod"
	"rkt/internal/stage1"
)

// withUsers starts a pod of its own data directory.
func withUsers(t *testing.T, ranges pod.IDRanges) *pod.Pod {
	t.Helper()
	pods := pod.In(t.TempDir())
	pods.IDRanges = ranges
	p := create(t, pods)
	if err := p.WantPrivateUsers(); err != nil {
		t.Fatal(err)
	}
	if want, err := p.PrivateUsers(); !want || err != nil {
		t.Fatalf("private users: %v, %v", want, err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

func links(t *testing.T, ranges pod.IDRanges) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(string(ranges), "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestIDRangesOfAllPodsDiffer(t *testing.T) {
	t.Parallel()
	ranges := pod.IDRanges(filepath.Join(t.TempDir(), "ids"))
	const pods = 16
	var taken [pods]stage1.IDRange
	var all sync.WaitGroup
	for i := range pods {
		p := withUsers(t, ranges)
		all.Go(func() {
			var err error
			if taken[i], err = p.TakeIDRange(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	owner := map[uint32]bool{}
	for _, r := range taken {
		if r.Count != 65536 || r.First < pod.FirstUID+pod.NumUIDs || r.First%r.Count != 0 || owner[r.First] {
			t.Errorf("got %s", r)
		}
		owner[r.First] = true
	}
	if n := len(links(t, ranges)); n != pods {
		t.Errorf("%d links for %d pods", n, pods)
	}
}

// Only whether its pod runs decides whether a range is taken.
func TestIDRangeIsFreeWhenItsPodHasEnded(t *testing.T) {
	t.Parallel()
	ranges := pod.IDRanges(t.TempDir())
	running, ended, next := withUsers(t, ranges), withUsers(t, ranges), withUsers(t, ranges)
	had, err := ended.TakeIDRange()
	if err != nil {
		t.Fatal(err)
	}
	endedLink := filepath.Join(string(ranges), strconv.FormatUint(uint64(had.First), 10))
	for first := pod.FirstUID + pod.NumUIDs; first < 0x7ffe0000; first += 65536 {
		err := os.Symlink(running.Path(), filepath.Join(string(ranges), strconv.Itoa(first)))
		if err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	if got, err := next.TakeIDRange(); err == nil {
		t.Fatalf("all ranges are taken, but there was %s", got)
	}
	_ = ended.Close() // as the end of its last process does
	if got, err := next.TakeIDRange(); got != had || err != nil {
		t.Fatalf("got %s, %v, want %s", got, err, had)
	}
	// The pod that had it before has a note of it still.
	pods := pod.In(filepath.Dir(filepath.Dir(filepath.Dir(ended.Path()))))
	if pods.IDRanges = ranges; get(t, pods, ended.UUID).Discard() != nil {
		t.Error("the ended pod could not be removed")
	}
	if owner, err := os.Readlink(endedLink); owner != next.Path() || err != nil {
		t.Errorf("the range is that of %s, %v", owner, err)
	}
}

func TestDiscardedPodGivesItsRangeBack(t *testing.T) {
	t.Parallel()
	ranges := pod.IDRanges(filepath.Join(t.TempDir(), "ids"))
	p := withUsers(t, ranges)
	if _, err := p.TakeIDRange(); err != nil {
		t.Fatal(err)
	}
	if err := p.Discard(); err != nil {
		t.Fatal(err)
	}
	if left := links(t, ranges); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestPodsThatDoNotRunHaveNoRange(t *testing.T) {
	t.Parallel()
	pods := pod.In(t.TempDir())
	pods.IDRanges = pod.IDRanges(t.TempDir())
	p := create(t, pods)
	if want, err := p.PrivateUsers(); want || err != nil {
		t.Errorf("private users: %v, %v", want, err)
	}
	if r, err := p.TakeIDRange(); err == nil {
		t.Errorf("got %s", r)
	}
	if left := links(t, pods.IDRanges); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
