package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rkt/test/probe/report"
)

// facts prints what can be seen from here, and ends, or stays until SIGTERM.
func facts(args []string) error {
	flags := flag.NewFlagSet("facts", flag.ContinueOnError)
	stay := flags.Bool("stay", false, "stay afterwards")
	if err := flags.Parse(args); err != nil {
		return err
	}
	f, err := look()
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(f); err != nil || !*stay {
		return err
	}
	return sleep(nil)
}

func look() (*report.Facts, error) {
	f := &report.Facts{
		CPUs: runtime.NumCPU(), PID: os.Getpid(),
		UID: os.Getuid(), GID: os.Getgid(), Home: os.Getenv("HOME"), Env: os.Environ(),
		Parent: process(os.Getppid()), Init: process(1),
	}
	var uname unix.Utsname
	if err := unix.Uname(&uname); err != nil {
		return nil, err
	}
	f.Kernel, f.Hostname = unix.ByteSliceToString(uname.Release[:]), unix.ByteSliceToString(uname.Nodename[:])
	for _, step := range []func(*report.Facts) error{lookAtSelf, lookAtProcessors, lookAtMemory, lookAtDisk, lookAtFiles, lookAtMounts, lookAtConfinement} {
		if err := step(f); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func process(pid int) report.Process {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return report.Process{PID: pid, Name: err.Error()}
	}
	return report.Process{PID: pid, Name: strings.TrimSpace(string(name))}
}

func lookAtProcessors(f *report.Facts) error {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) != "bogomips" {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return err
		}
		f.BogoMIPS = append(f.BogoMIPS, n)
	}
	return nil
}

func lookAtSelf(f *report.Facts) (err error) {
	if f.Groups, err = os.Getgroups(); err != nil {
		return err
	}
	if f.Dir, err = os.Getwd(); err != nil {
		return err
	}
	if f.Status, err = colonLines("/proc/self/status"); err != nil {
		return err
	}
	ids, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return err
	}
	f.UIDMap = strings.Join(strings.Fields(string(ids)), " ")
	cgroup, err := os.ReadFile("/proc/self/cgroup")
	f.Cgroup = strings.TrimSpace(string(cgroup))
	return err
}

func lookAtDisk(f *report.Facts) error {
	var disk unix.Statfs_t
	if err := unix.Statfs("/", &disk); err != nil {
		return err
	}
	f.Disk = int64(disk.Blocks) * disk.Bsize
	return nil
}

func lookAtMemory(f *report.Facts) error {
	lines, err := colonLines("/proc/meminfo")
	if err != nil {
		return err
	}
	kib, err := strconv.ParseInt(strings.TrimSuffix(lines["MemTotal"], " kB"), 10, 64)
	f.MemTotal = kib << 10
	return err
}

func colonLines(path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			found[name] = strings.TrimSpace(value)
		}
	}
	return found, nil
}

func lookAtFiles(f *report.Facts) error {
	var err error
	if f.Root, err = names("/"); err != nil {
		return err
	}
	for _, name := range f.Root {
		if name == "proc" || name == "sys" || name == "dev" {
			continue
		}
		below, err := names("/" + name)
		if err != nil {
			continue // a file, or closed to this user
		}
		for _, n := range below {
			f.Below = append(f.Below, name+"/"+n)
		}
	}
	return filepath.WalkDir("/dev", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeDevice != 0 {
			f.Dev = append(f.Dev, path)
		}
		return nil // what can't be read is not there for an app
	})
}

func lookAtMounts(f *report.Facts) error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		own, filesystem, _ := strings.Cut(line, " - ")
		fields, kind := strings.Fields(own), strings.Fields(filesystem)
		if len(fields) < 6 || len(kind) == 0 {
			continue
		}
		f.Mounts = append(f.Mounts, report.Mount{Point: fields[4], Filesystem: kind[0], Options: fields[5]})
	}
	return nil
}

func names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all, err
}
