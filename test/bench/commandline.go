package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// errCommandLine is returned for a QEMU whose command line is of another form
// than the supervisor's.
var errCommandLine = errors.New("unexpected command line of QEMU")

// commandLine is that of a pod's QEMU. Plain QEMU is started with the same one,
// so that the two never drift apart.
type commandLine []string

// readCommandLine returns a running process's.
func readCommandLine(pid int) (commandLine, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil, err
	}
	var c commandLine
	for word := range bytes.SplitSeq(bytes.TrimSuffix(b, []byte{0}), []byte{0}) {
		c = append(c, string(word))
	}
	return c, nil
}

// option returns the value of an option that is there once.
func (c commandLine) option(name string) (string, error) {
	i := slices.Index(c, name)
	if i < 0 || i+1 >= len(c) {
		return "", fmt.Errorf("%w: no %s", errCommandLine, name)
	}
	return c[i+1], nil
}

// withInit returns a copy whose kernel starts another program.
func (c commandLine) withInit(path string) (commandLine, error) {
	i := slices.Index(c, "-append")
	if i < 0 || i+1 >= len(c) {
		return nil, fmt.Errorf("%w: no -append", errCommandLine)
	}
	parameters := strings.Fields(c[i+1])
	k := slices.IndexFunc(parameters, func(p string) bool { return strings.HasPrefix(p, "init=") })
	if k < 0 {
		return nil, fmt.Errorf("%w: the kernel is told no init", errCommandLine)
	}
	parameters[k] = "init=" + path
	changed := slices.Clone(c)
	changed[i+1] = strings.Join(parameters, " ")
	return changed, nil
}

// memoryBytes returns the size of the guest's memory.
func (c commandLine) memoryBytes() (int64, error) {
	value, err := c.option("-m")
	if err != nil {
		return 0, err
	}
	mebibytes, err := strconv.ParseInt(strings.TrimSuffix(value, "M"), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%w: -m %s", errCommandLine, value)
	}
	return mebibytes << 20, nil
}

// descriptors are the numbers of the open files that a QEMU expects.
type descriptors struct {
	console int
	sockets []int // other than the console
	disk    int
}

// descriptors finds them by what the options say: streams are sockets, the one
// file is the root disk.
func (c commandLine) descriptors() (descriptors, error) {
	d := descriptors{console: -1, disk: -1}
	serial, err := c.option("-serial")
	if err != nil {
		return d, err
	}
	_, console, _ := strings.Cut(serial, ":")
	number := regexp.MustCompile(`(?:^|,)fd=(\d+)`)
	for i, word := range c {
		match := number.FindStringSubmatch(word)
		if match == nil || i == 0 {
			continue
		}
		fd, err := strconv.Atoi(match[1])
		if err != nil || fd > 100 {
			return d, fmt.Errorf("%w: %s", errCommandLine, word)
		}
		switch {
		case c[i-1] == "-add-fd":
			d.disk = fd
		case slices.Contains(strings.Split(word, ","), "id="+console):
			d.console = fd
		default:
			d.sockets = append(d.sockets, fd)
		}
	}
	if d.console < 0 || d.disk < 0 {
		return d, fmt.Errorf("%w: no console or no disk", errCommandLine)
	}
	return d, nil
}
