package store

import (
	"cmp"
	"slices"

	"rkt/internal/appc"
)

// catalog is what the index held at some moment, by name. It is read when it
// is first asked.
type catalog struct {
	store  *Store
	byName map[appc.ACIdentifier][]*record
}

func (s *Store) catalog() *catalog { return &catalog{store: s} }

func (c *catalog) read() error {
	if c.byName != nil {
		return nil
	}
	ids, err := c.store.ids("")
	if err != nil {
		return err
	}
	c.byName = make(map[appc.ACIdentifier][]*record)
	for _, id := range ids {
		r, err := c.store.readRecord(id)
		if err != nil {
			continue // a damaged record is List's to report
		}
		c.byName[r.Name] = append(c.byName[r.Name], r)
	}
	return nil
}

// find returns the record of the image with the given name that has all the
// given labels and fits: of several the one imported last, and one fetched as
// the latest before others if labels has no version. Those that were found damaged count
// only if there are no others. Otherwise ErrNotFound.
func (c *catalog) find(name appc.ACIdentifier, labels appc.Labels, fits func(*record) bool) (*record, error) {
	if err := c.read(); err != nil {
		return nil, err
	}
	var matches []*record
	for _, r := range c.byName[name] {
		if hasLabels(r.Labels, labels) && fits(r) {
			matches = append(matches, r)
		}
	}
	if len(matches) == 0 {
		return nil, ErrNotFound
	}
	_, versioned := labels.Get("version")
	return slices.MaxFunc(matches, func(a, b *record) int {
		if a.Damaged != b.Damaged {
			return cmp.Compare(boolInt(b.Damaged), boolInt(a.Damaged))
		}
		if !versioned && a.Latest != b.Latest {
			return cmp.Compare(boolInt(a.Latest), boolInt(b.Latest))
		}
		return a.ImportTime.Compare(b.ImportTime)
	}), nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func hasLabels(have, want appc.Labels) bool {
	for _, l := range want {
		if value, ok := have.Get(string(l.Name)); !ok || value != l.Value {
			return false
		}
	}
	return true
}
