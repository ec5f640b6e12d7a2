// Package networktest gives tests a host of their own: network and mount
// namespaces in which no link, rule or lease of the machine shows, and where
// none is left.
package networktest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// dirEnv is set inside: the directory that Dir returns.
const dirEnv = "RKT_TEST_NETWORK_HOST"

// Addresses of the host's interface "uplink" and of what is at its other end,
// in a network namespace that is mounted on Outside.
const (
	HostAddress    = "10.9.9.1"
	OutsideAddress = "10.9.9.2"
)

// Dir returns a directory that lives as long as the tests' host, "" if the
// program is not in one.
func Dir() string { return os.Getenv(dirEnv) }

// Outside returns the path of a network namespace that is a neighbour of the
// host.
func Outside() string { return "/var/lib/cni/outside" }

// Run runs tests in a host of their own if the program may make one, by
// starting itself again, and returns the exit status.
func Run(tests func() int) int {
	if fuzzing() {
		return tests()
	}
	if Dir() != "" {
		if err := furnish(); err != nil {
			fmt.Fprintln(os.Stderr, "make the host of the tests:", err)
			return 1
		}
		return tests()
	}
	if os.Getuid() != 0 {
		return tests()
	}
	status, err := again()
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the host of the tests:", err)
		return 1
	}
	return status
}

// fuzzing reports whether the program was started to fuzz. It starts others then,
// which talk to it by descriptors, and needs no host.
func fuzzing() bool {
	return slices.ContainsFunc(os.Args, func(arg string) bool {
		return strings.HasPrefix(arg, "-test.fuzz=") || strings.HasPrefix(arg, "-test.fuzzworker")
	})
}

func again() (int, error) {
	// The child is killed with the thread that started it.
	runtime.LockOSThread()
	dir, err := os.MkdirTemp("", "network")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), dirEnv+"="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// furnish makes the new namespaces a host without leases, with a way out.
func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	// Leases, and pods that are known to the metadata service.
	for _, dir := range []string{"/var/lib/cni", "/run/rkt"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			return err
		}
	}
	if err := os.WriteFile(Outside(), nil, 0o600); err != nil {
		return err
	}
	script := `set -e
ip link set lo up
ip link add uplink type veth peer name outside
ip address add ` + HostAddress + `/24 dev uplink
ip link set uplink up
unshare --net=` + Outside() + ` ip link set lo up
ip link set outside netns ` + Outside() + `
nsenter --net=` + Outside() + ` ip address add ` + OutsideAddress + `/24 dev outside
nsenter --net=` + Outside() + ` ip link set outside up
nsenter --net=` + Outside() + ` ip route add default via ` + HostAddress + `
`
	out, err := exec.Command("/bin/sh", "-c", script).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
