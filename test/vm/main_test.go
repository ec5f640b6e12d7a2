package vm

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"rkt/internal/network/networktest"
)

// patience bounds every single wait. Emulation on a busy host is slow; nothing
// that works takes this long.
const patience = 10 * time.Minute

// suite is what all tests share.
type suite struct {
	dir     string // holds everything that the tests make
	probe   []byte // the probe's program
	product build
	faulty  build // the product with fault points
}

// These are set before the first test and never changed.
var (
	shared *suite
	soak   = flag.Bool("soak", false, "run the long lists")
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Pods are put on networks of the host: one of the tests' own.
	os.Exit(networktest.Run(func() int { return runSuite(m) }))
}

func runSuite(m *testing.M) int {
	var err error
	if shared, err = newSuite(); err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		return 1
	}
	status := m.Run()
	for _, left := range leftIn(shared.dir) {
		fmt.Fprintln(os.Stderr, "vm: left behind:", left)
		status = 1
	}
	if err := os.RemoveAll(shared.dir); err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		status = 1
	}
	return status
}

func newSuite() (*suite, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("must run as root")
	}
	s := &suite{}
	var err error
	if s.product.bin, err = programs("RKT_TEST_BIN"); err != nil {
		return nil, err
	}
	if s.faulty.bin, err = programs("RKT_TEST_FAULT_BIN"); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "vm"); err != nil {
		return nil, err
	}
	// The uids of pods' machines have to get through.
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return nil, err
	}
	// Where nothing can be built the probe comes ready.
	if ready := os.Getenv("RKT_TEST_PROBE"); ready != "" {
		s.probe, err = os.ReadFile(ready)
	} else {
		s.probe, err = buildProbe(filepath.Join(s.dir, "probe"))
	}
	return s, err
}

// programs returns the directory that an environment variable names.
func programs(variable string) (string, error) {
	dir := os.Getenv(variable)
	if dir == "" {
		return "", fmt.Errorf("%s is not set: it names the directory of rkt and stage1-kvm.aci", variable)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for _, name := range []string{"rkt", stage1File} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("%s: %w", variable, err)
		}
	}
	return dir, nil
}

func buildProbe(path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "rkt/test/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the probe: %w\n%s", err, out)
	}
	return os.ReadFile(path)
}
