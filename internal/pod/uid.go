package pod

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"rkt/internal/fault"
	"rkt/internal/linux"
	"rkt/internal/stage1"
)

// Uids that pods get, far from those of users, of their sub-uid ranges and of
// systemd's dynamic ones.
const (
	FirstUID = 0x70000000
	NumUIDs  = 65536
)

// AllocateUID gives the pod, which is being prepared, a uid that no other pod
// of the data directory has, and writes it to stage1.UIDFile. The uid is free
// again when the pod is deleted: the files are the only record.
func (p *Pod) AllocateUID() (int, error) {
	lock, err := p.pods.openLock("uidLock")
	if err != nil {
		return 0, err
	}
	defer lock.Close()
	if err := linux.LockExclusive(lock); err != nil {
		return 0, err
	}
	taken, err := p.pods.takenUIDs()
	if err != nil {
		return 0, err
	}
	if len(taken) >= NumUIDs {
		return 0, errors.New("all uids for pods are taken")
	}
	uid := FirstUID + rand.IntN(NumUIDs)
	for taken[uid] {
		uid = FirstUID + (uid-FirstUID+1)%NumUIDs
	}
	fault.Point("pod.uid.before")
	err = p.WriteFile(stage1.UIDFile, []byte(strconv.Itoa(uid)+"\n"))
	fault.Point("pod.uid.after")
	return uid, err
}

// takenUIDs collects the uids of all pods. The places are read in the order in
// which pods pass them, so a pod that moves meanwhile is still met.
func (ps *Pods) takenUIDs() (map[int]bool, error) {
	taken := make(map[int]bool)
	for _, at := range allPlaces() {
		entries, err := os.ReadDir(ps.placeDir(at))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		for _, entry := range entries {
			path := filepath.Join(ps.path(at, entry.Name()), stage1.UIDFile)
			data, err := readBounded(os.Open, path, maxNumberFile)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, fmt.Errorf("look for free uids: %w", err)
			}
			// Who was killed while writing the number has not used it.
			if uid, err := parseNumber(data); err == nil {
				taken[uid] = true
			}
		}
	}
	return taken, nil
}

func parseNumber(data []byte) (int, error) { return strconv.Atoi(strings.TrimSpace(string(data))) }
