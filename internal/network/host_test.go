package network

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rkt/internal/network/guard"
	"rkt/internal/network/networktest"
)

func TestMain(m *testing.M) { os.Exit(networktest.Run(m.Run)) }

// host is the pretended host with a place for one pod.
type host struct {
	*testing.T
	plugins string // directory of the plugins
	before  string // what was there when the test began
}

// needHost skips tests that can't run here, with the reason. Tests with a host
// change the working directory, so none of them is parallel.
func needHost(t *testing.T) *host {
	t.Helper()
	if networktest.Dir() == "" {
		t.Skip("needs root")
	}
	for _, program := range []string{"ip", "iptables", "iptables-save", "nft"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s", program)
		}
	}
	h := &host{T: t, plugins: pluginsDir(t)}
	t.Chdir(t.TempDir())
	h.before = h.state()
	t.Cleanup(func() {
		if err := Teardown(context.Background(), testUUID, nil); err != nil && !t.Failed() {
			t.Errorf("clean up: %v", err)
		}
	})
	return h
}

const testUUID = "6733c088-a507-4694-aabf-5bd95ce3f3d7"

// pluginsDir builds the plugins that stage1 images carry.
func pluginsDir(t *testing.T) string {
	t.Helper()
	dir := networktest.Dir()
	if _, err := os.Stat(filepath.Join(dir, "bin")); err == nil {
		return filepath.Join(dir, "bin")
	}
	root := repository(t)
	build(t, root, "go", "run", "./stage1/mkplugins", "-out", filepath.Join(dir, "source"), "stage1/plugins")
	program := filepath.Join(dir, "plugins")
	build(t, filepath.Join(dir, "source"), "go", "build", "-trimpath", "-buildvcs=false", "-o", program, ".")
	names, err := os.ReadFile(filepath.Join(dir, "source", "names"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	build(t, root, "go", "build", "-o", filepath.Join(dir, "bin", guard.Name), "./internal/network/testdata/guard")
	for _, name := range strings.Fields(string(names)) {
		if err := os.Symlink(program, filepath.Join(dir, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "bin")
}

func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func build(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// state is all that plugins may leave on a host: links, rules, chains and
// tables, leases. What iptables, portmap and firewall make once for all pods and
// leave empty is no trace.
func (h *host) state() string {
	h.Helper()
	var kept []string
	rules := h.output("iptables-save") + h.output("ip6tables-save") + h.output("nft", "list", "tables")
	for line := range strings.Lines(rules) {
		ours := strings.Contains(line, "RKT-") || strings.Contains(line, "CNI-")
		if (ours || strings.HasPrefix(line, "-A")) && !strings.Contains(line, "CNI-HOSTPORT-") && !ofFirewall(line) {
			before, _, _ := strings.Cut(line, "[") // counters
			kept = append(kept, strings.TrimSpace(before))
		}
	}
	for line := range strings.Lines(h.output("ip", "-o", "link") + leases()) {
		kept = append(kept, strings.TrimSpace(line))
	}
	slices.Sort(kept)
	return strings.Join(kept, "\n")
}

// ofFirewall tells of what the plugin firewall makes once for all pods.
func ofFirewall(line string) bool {
	for _, common := range []string{":CNI-ADMIN ", ":CNI-FORWARD ", " -j CNI-FORWARD", " -j CNI-ADMIN"} {
		if strings.Contains(line, common) {
			return true
		}
	}
	return false
}

func leases() string {
	var found strings.Builder
	paths, _ := filepath.Glob("/var/lib/cni/networks/*/*")
	for _, path := range paths {
		if base := filepath.Base(path); base != "lock" && !strings.HasPrefix(base, "last_reserved_ip") {
			found.WriteString(path + "\n")
		}
	}
	return found.String()
}

func (h *host) output(name string, args ...string) string {
	h.Helper()
	var complaints bytes.Buffer
	cmd := exec.CommandContext(h.Context(), name, args...)
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		h.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, complaints.String())
	}
	return string(out)
}

// clean fails the test unless everything is as it was.
func (h *host) clean() {
	h.Helper()
	if now := h.state(); now != h.before {
		h.Errorf("left on the host:\n%s\n--- before:\n%s", now, h.before)
	}
	for _, name := range []string{namespaceFile, innerFile, recordDir} {
		if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
			h.Errorf("%s is still there (%v)", name, err)
		}
	}
}
