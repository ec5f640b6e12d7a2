package linux_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"rkt/internal/linux"
)

func openDir(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestLocksExclude(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	holder, other := openDir(t, dir), openDir(t, dir)
	if err := linux.LockExclusive(holder); err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func(*os.File) (bool, error){
		"exclusive": linux.TryLockExclusive, "shared": linux.TryLockShared, "claim": linux.ClaimLock,
	} {
		if ok, err := try(other); ok || err != nil {
			t.Errorf("%s: got the lock beside an exclusive holder: %v, %v", name, ok, err)
		}
	}
	if err := linux.Unlock(holder); err != nil {
		t.Fatal(err)
	}
	if ok, err := linux.ClaimLock(other); !ok || err != nil {
		t.Errorf("a free lock was not claimed: %v, %v", ok, err)
	}
}

func TestClaimLockStepsAroundReaders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	claimer := openDir(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	readers := make(chan error, 2)
	for range 2 {
		reader := openDir(t, dir)
		go func() {
			for ctx.Err() == nil {
				if ok, err := linux.TryLockShared(reader); err != nil {
					readers <- err
					return
				} else if ok {
					_ = linux.Unlock(reader)
				}
			}
			readers <- nil
		}()
	}
	for range 200 {
		if ok, err := linux.ClaimLock(claimer); !ok || err != nil {
			t.Fatalf("claim beside readers: %v, %v", ok, err)
		}
		if err := linux.Unlock(claimer); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	for range 2 {
		if err := <-readers; err != nil {
			t.Error(err)
		}
	}
}

// TestClaimLockWaitsForReader: a reader that the machine has no time for is no
// reason to give up, either.
func TestClaimLockWaitsForReader(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	reader, claimer := openDir(t, dir), openDir(t, dir)
	if ok, err := linux.TryLockShared(reader); !ok || err != nil {
		t.Fatalf("read: %v, %v", ok, err)
	}
	letGo := make(chan error, 1)
	time.AfterFunc(100*time.Millisecond, func() { letGo <- linux.Unlock(reader) })
	if ok, err := linux.ClaimLock(claimer); !ok || err != nil {
		t.Errorf("claim beside a reader that is slow: %v, %v", ok, err)
	}
	if err := <-letGo; err != nil {
		t.Error(err)
	}
}

func TestLockSharedWaitsAndGivesUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	holder := openDir(t, dir)
	if err := linux.LockExclusive(holder); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := linux.LockShared(ctx, openDir(t, dir)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait for a held lock: %v", err)
	}
	waited := make(chan error, 1)
	waiter := openDir(t, dir)
	go func() { waited <- linux.LockShared(t.Context(), waiter) }()
	if err := linux.Unlock(holder); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Errorf("wait for a lock that was let go: %v", err)
	}
}
