package pod

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"rkt/internal/fault"
	"rkt/internal/linux"
	"rkt/internal/stage1"
)

// Ranges of ids that pods with users of their own get: those that nobody else
// gives out, far from users, sub-uid ranges, what systemd has for containers, and
// the uids from FirstUID on.
const (
	firstRange = FirstUID + NumUIDs
	rangeSize  = 65536
	numRanges  = (0x7ffe0000 - firstRange) / rangeSize
)

// IDRanges is a directory of the host's, which all data directories share and a
// restart of the host empties. It has a symbolic link for each range that was
// given out, named by the first id, to the directory of a pod. The range is taken
// as long as that pod runs, which means that it is there and locked.
type IDRanges string

// idRanges is where all pods of a host look.
const idRanges IDRanges = "/run/rkt/private-users"

// WantPrivateUsers notes, while the pod is being prepared, that it is to have
// users of its own.
func (p *Pod) WantPrivateUsers() error { return p.WriteFile(stage1.PrivateUsersFile, nil) }

// PrivateUsers tells whether the pod is to have users of its own.
func (p *Pod) PrivateUsers() (bool, error) {
	_, err := p.root.Lstat(stage1.PrivateUsersFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// TakeIDRange gives a pod that this process has just started ids that no other
// running pod of the host has, for as long as it runs, and notes them.
func (p *Pod) TakeIDRange() (stage1.IDRange, error) {
	ranges := p.pods.IDRanges
	if p.at != run || !p.held {
		return stage1.IDRange{}, errors.New("only a pod that runs has ids")
	}
	if err := os.MkdirAll(string(ranges), 0o755); err != nil { //nolint:gosec // who looks may see who runs
		return stage1.IDRange{}, err
	}
	lock, err := os.Open(string(ranges))
	if err != nil {
		return stage1.IDRange{}, err
	}
	defer lock.Close()
	if err := linux.LockExclusive(lock); err != nil {
		return stage1.IDRange{}, err
	}
	at := rand.IntN(numRanges)
	for range numRanges {
		taken := stage1.IDRange{First: uint32(firstRange + at*rangeSize), Count: rangeSize}
		ok, err := p.claimIDRange(ranges.link(taken), taken)
		if err != nil {
			return stage1.IDRange{}, fmt.Errorf("take ids: %w", err)
		}
		if ok {
			return taken, nil
		}
		at = (at + 1) % numRanges
	}
	return stage1.IDRange{}, fmt.Errorf("all %d ranges of ids are taken", numRanges)
}

// claimIDRange notes a range and links it to the pod, unless it is taken. The
// caller has the directory's lock. The note comes first: with it, whoever removes
// the pod finds the link.
func (p *Pod) claimIDRange(link string, ids stage1.IDRange) (bool, error) {
	taken, err := isTaken(link)
	if err != nil || taken {
		return false, err
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err := p.WriteFile(stage1.PrivateUsersFile, []byte(ids.String()+"\n")); err != nil {
		return false, err
	}
	fault.Point("pod.ids.before-link")
	err = os.Symlink(p.Path(), link)
	fault.Point("pod.ids.after-link")
	return err == nil, err
}

func (r IDRanges) link(ids stage1.IDRange) string {
	return filepath.Join(string(r), strconv.FormatUint(uint64(ids.First), 10))
}

// isTaken tells whether a link leads to a pod that runs.
func isTaken(link string) (bool, error) {
	dir, err := os.Open(link)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer dir.Close()
	free, err := linux.TryLockShared(dir)
	return !free, err
}

// releaseIDRange removes the link to an ended pod, wherever that has been moved
// since. A range that was given to another pod meanwhile stays that one's.
func (p *Pod) releaseIDRange() error {
	ranges := p.pods.IDRanges
	text, err := p.readWord(stage1.PrivateUsersFile)
	if err != nil || text == "" {
		return err
	}
	ids, err := stage1.ParseIDRange(text)
	if err != nil {
		return nil //nolint:nilerr // it was never given any
	}
	lock, err := os.Open(string(ranges))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := linux.LockExclusive(lock); err != nil {
		return err
	}
	link := ranges.link(ids)
	owner, err := os.Readlink(link)
	if err != nil || filepath.Base(owner) != p.UUID {
		return nil //nolint:nilerr // there is nothing of this pod's
	}
	return os.Remove(link)
}
