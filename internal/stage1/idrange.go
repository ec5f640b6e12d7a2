package stage1

import (
	"fmt"
	"strconv"
	"strings"
)

// IDRange is the user and group ids of the host's that stand for the ids from 0
// on of a pod with user namespaces of its own. The zero value is none.
type IDRange struct{ First, Count uint32 }

// String returns FIRST:COUNT, "" for none.
func (r IDRange) String() string {
	if r == (IDRange{}) {
		return ""
	}
	return fmt.Sprintf("%d:%d", r.First, r.Count)
}

// ParseIDRange reads what String wrote of a range. The host's root is in none,
// and no id is beyond what the kernel has.
func ParseIDRange(text string) (IDRange, error) {
	first, count, _ := strings.Cut(text, ":")
	low, err := strconv.ParseUint(first, 10, 32)
	if err != nil || low == 0 {
		return IDRange{}, fmt.Errorf("%q is no range of ids, as FIRST:COUNT", text)
	}
	n, err := strconv.ParseUint(count, 10, 32)
	if err != nil || n == 0 || low+n > maxID {
		return IDRange{}, fmt.Errorf("%q is no range of ids, as FIRST:COUNT", text)
	}
	return IDRange{First: uint32(low), Count: uint32(n)}, nil
}

// maxID is the number that is no id: the kernel takes it for "none".
const maxID = 1<<32 - 1
