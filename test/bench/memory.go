package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// settleSeconds is how long everything stays idle before memory is measured.
const settleSeconds = "5"

var (
	errSmaps    = errors.New("unexpected line in smaps")
	errGuestRAM = errors.New("the guest's memory is not one mapping of QEMU")
)

// footprint is the memory of a pod or a machine on the host: proportional set
// sizes, in which a page that several processes share counts in part.
type footprint struct {
	Name      string          `json:"name"`
	Processes []processMemory `json:"processes"`
	// GuestBytes is what is in use of the guest's memory.
	GuestBytes int64 `json:"guestBytes"`
	// BeyondBytes is everything else.
	BeyondBytes int64 `json:"beyondBytes"`
}

// processMemory is one process's part, without the guest's memory.
type processMemory struct {
	Program string `json:"program"`
	Bytes   int64  `json:"bytes"`
}

// measureFootprint measures a process and all its descendants. One mapping in
// all of them is the guest's memory, which has guestBytes.
func measureFootprint(name string, pid int, guestBytes int64) (footprint, error) {
	f := footprint{Name: name}
	family, err := descendants(pid)
	if err != nil {
		return f, err
	}
	guests := 0
	for _, pid := range family {
		mappings, err := readSmaps(pid)
		if err != nil {
			return f, err
		}
		p := processMemory{Program: programName(pid)}
		for _, m := range mappings {
			if m.size == guestBytes {
				guests++
				f.GuestBytes += m.pss
				continue
			}
			p.Bytes += m.pss
		}
		f.BeyondBytes += p.Bytes
		f.Processes = append(f.Processes, p)
	}
	if guests != 1 {
		return f, fmt.Errorf("%w: %d mappings of its size", errGuestRAM, guests)
	}
	return f, nil
}

// mapping is one of a process's, in bytes.
type mapping struct{ size, pss int64 }

func readSmaps(pid int) ([]mapping, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseSmaps(f)
}

// parseSmaps reads the kernel's list: a line of addresses for each mapping,
// then lines such as "Pss:   12 kB".
func parseSmaps(r io.Reader) ([]mapping, error) {
	var mappings []mapping
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 0 {
			continue
		}
		if !strings.HasSuffix(words[0], ":") {
			mappings = append(mappings, mapping{})
			continue
		}
		if words[0] != "Size:" && words[0] != "Pss:" {
			continue
		}
		if len(mappings) == 0 || len(words) != 3 || words[2] != "kB" {
			return nil, fmt.Errorf("%w: %q", errSmaps, lines.Text())
		}
		kibibytes, err := strconv.ParseInt(words[1], 10, 50)
		if err != nil {
			return nil, fmt.Errorf("%w: %q", errSmaps, lines.Text())
		}
		last := &mappings[len(mappings)-1]
		if words[0] == "Size:" {
			last.size = kibibytes << 10
		} else {
			last.pss = kibibytes << 10
		}
	}
	return mappings, lines.Err()
}

// descendants returns a process, its children, their children and so on.
func descendants(pid int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]int)
	for _, path := range stats {
		child, parent, ok := readStat(path)
		if ok {
			children[parent] = append(children[parent], child)
		}
	}
	family := []int{pid}
	for i := 0; i < len(family); i++ {
		family = append(family, children[family[i]]...)
	}
	slices.Sort(family[1:])
	return family, nil
}

// readStat returns a process and its parent. A process may end at any time.
func readStat(path string) (pid, parent int, ok bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, false
	}
	// The name is in brackets and may hold anything.
	end := strings.LastIndexByte(string(b), ')')
	if end < 0 {
		return 0, 0, false
	}
	var state string
	if _, err := fmt.Sscan(string(b[end+1:]), &state, &parent); err != nil {
		return 0, 0, false
	}
	pid, err = strconv.Atoi(filepath.Base(filepath.Dir(path)))
	return pid, parent, err == nil
}

// programName returns the name of what a process executes.
func programName(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return strconv.Itoa(pid)
	}
	return strings.TrimSpace(string(b))
}
