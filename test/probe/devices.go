package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rkt/test/probe/report"
)

// devices tries to open every device that could lead out of an app's root: all
// disks, the agent's ports, consoles and memory. It also tries /dev/null, so
// that whoever reads the answer sees that the way of trying works.
func devices([]string) error {
	// Where no mount option forbids devices, so that only the rules about them
	// stand in the way.
	dir, err := os.MkdirTemp("/dev", "probe")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	wanted, err := candidates()
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for i, a := range wanted {
		try(&a, filepath.Join(dir, strconv.Itoa(i)))
		if err := out.Encode(a); err != nil {
			return err
		}
	}
	return nil
}

func try(a *report.Attempt, path string) {
	kind := uint32(unix.S_IFCHR)
	if a.Block {
		kind = unix.S_IFBLK
	}
	if err := unix.Mknod(path, kind|0o600, int(unix.Mkdev(a.Major, a.Minor))); err != nil {
		a.Mknod = err.Error()
		return
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		a.Open = err.Error()
		return
	}
	unix.Close(fd)
}

// candidates lists devices of the drivers that /proc/devices names, for each its
// first major number. Format: proc(5).
func candidates() ([]report.Attempt, error) {
	f, err := os.Open("/proc/devices")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list := []report.Attempt{{Name: "null", Major: 1, Minor: 3}}
	block, seen := false, make(map[string]bool)
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), "Block") {
			block = true
		}
		major, name, _ := strings.Cut(strings.TrimSpace(s.Text()), " ")
		number, err := strconv.ParseUint(major, 10, 32)
		if err != nil || seen[name] {
			continue
		}
		seen[name] = true
		for _, minor := range minors(name, block) {
			list = append(list, report.Attempt{
				Name: fmt.Sprint(name, " ", minor), Major: uint32(number), Minor: minor, Block: block,
			})
		}
	}
	return list, nil
}

// minors returns which devices of a driver may be there.
func minors(driver string, block bool) []uint32 {
	disks := []string{"sd", "virtblk", "loop", "device-mapper"}
	ports := []string{"virtio-portsdev", "hvc", "ttyS", "bsg", "sg", "misc"}
	switch {
	case block && slices.Contains(disks, driver):
		return []uint32{0, 1, 2, 16, 32, 48, 64}
	case !block && slices.Contains(ports, driver):
		return []uint32{0, 1, 2, 3, 64, 65}
	case !block && driver == "mem":
		return []uint32{1, 4, 11} // memory, ports, the kernel's messages
	}
	return nil
}
