package pod

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/google/uuid"

	"rkt/internal/errhint"
)

// maxUUIDFile bounds what is read of a file that should hold one UUID.
const maxUUIDFile = 1024

// Get opens the pod whose UUID is or uniquely begins with the given text.
func (ps *Pods) Get(prefix string) (*Pod, error) {
	prefix = strings.ToLower(prefix)
	if prefix == "" {
		return nil, errors.New("UUID cannot be empty")
	}
	names, err := ps.names(visiblePlaces())
	if err != nil {
		return nil, err
	}
	var matches []string
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			matches = append(matches, name)
		}
	}
	switch len(matches) {
	case 0:
		return nil, errhint.With(fmt.Errorf("%w for %q", ErrNotFound, prefix),
			"`rkt list --full` shows all pods")
	case 1:
		// It may have moved on to garbage since it was listed.
		return ps.find(matches[0], allPlaces())
	}
	return nil, errhint.With(fmt.Errorf("ambiguous uuid, %d matches", len(matches)),
		"give more of the UUID: "+strings.Join(matches, ", "))
}

// All opens, one after another, every pod that users see, in the order of the
// UUIDs. The consumer closes them. A pod that can't be opened comes as an error.
func (ps *Pods) All() iter.Seq2[*Pod, error] { return ps.in(visiblePlaces()...) }

func (ps *Pods) in(places ...place) iter.Seq2[*Pod, error] {
	return func(yield func(*Pod, error) bool) {
		names, err := ps.names(places)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, name := range names {
			p, err := ps.find(name, places)
			if errors.Is(err, ErrNotFound) {
				continue // gone since
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

// names returns the sorted UUIDs of the pods in the places, which must be in
// the order in which pods pass them, so that none slips through.
func (ps *Pods) names(places []place) ([]string, error) {
	found := make(map[string]bool)
	for _, at := range places {
		entries, err := os.ReadDir(ps.placeDir(at))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		for _, entry := range entries {
			if entry.IsDir() && isUUID(entry.Name()) {
				found[entry.Name()] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// isUUID keeps what somebody else put beside the pods out of their list.
func isUUID(name string) bool {
	id, err := uuid.Parse(name)
	return err == nil && id.String() == name
}

// ReadUUIDFile returns the UUID in a file that WriteUUIDFile wrote.
func ReadUUIDFile(path string) (string, error) {
	data, err := readBounded(os.Open, path, maxUUIDFile)
	if err != nil {
		return "", err
	}
	id := strings.ToLower(strings.TrimSpace(string(data)))
	if !isUUID(id) {
		return "", fmt.Errorf("%s: does not hold a pod's UUID", path)
	}
	return id, nil
}

// WriteUUIDFile leaves the pod's UUID in a file. Whoever reads it sees the
// whole UUID or what was there before.
func (p *Pod) WriteUUIDFile(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(path, []byte(p.UUID), 0) // a pipe, /dev/stdout
	}
	return replaceFile(path, []byte(p.UUID), 0o644)
}
