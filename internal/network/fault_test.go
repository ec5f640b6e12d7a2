package network

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"rkt/internal/network/networktest"
)

// podProgram builds the program that sets up and tears down, with fault points.
func podProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(networktest.Dir(), "pod")
	build(t, repository(t), "go", "build", "-tags", "fault", "-o", program, "./internal/network/testdata/pod")
	return program
}

// TestKilledAnywhere kills the set-up, and the tear-down, at every step, and
// shows that another tear-down leaves nothing.
func TestKilledAnywhere(t *testing.T) {
	if networktest.Dir() == "" {
		t.Skip("needs root")
	}
	program := podProgram(t)
	h := needHost(t)
	up := []string{"-uuid", testUUID, "-plugins", h.plugins, "-port", "8082", "-machine"}
	down := append([]string{"-down"}, up...)
	h.configureMacvlan(`{}`)
	lan := []string{"-uuid", testUUID, "-plugins", h.plugins, "-config", h.configDir(), "-net", "lan"}
	for _, side := range []struct {
		name          string
		before, steps []string
	}{{"set-up", nil, up}, {"set-up of macvlan", nil, lan}, {"tear-down", up, down}, {"tear-down of macvlan", lan, append([]string{"-down"}, lan...)}} {
		points := h.points(program, side.before, side.steps)
		if len(points) < 5 {
			t.Fatalf("only %d points in the %s", len(points), side.name)
		}
		for _, point := range points {
			t.Run(side.name+"/"+point, func(*testing.T) {
				h.run(program, "", side.before)
				if killed := h.run(program, point, side.steps); !killed {
					h.Errorf("was not killed at %s", point)
				}
				h.run(program, "", down)
				h.clean()
			})
		}
	}
}

// points lists the fault points that the program passes.
func (h *host) points(program string, before, args []string) []string {
	h.Helper()
	h.run(program, "", before)
	log, err := filepath.Abs("points")
	if err != nil {
		h.Fatal(err)
	}
	defer os.Remove(log)
	cmd := exec.CommandContext(h.Context(), program, args...)
	cmd.Env = append(os.Environ(), "RKT_FAULT_LOG="+log)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.Fatalf("%v\n%s", err, out)
	}
	if err := Teardown(context.Background(), testUUID, nil); err != nil {
		h.Fatal(err)
	}
	b, err := os.ReadFile(log)
	if err != nil {
		h.Fatal(err)
	}
	points := strings.Fields(string(b))
	slices.Sort(points)
	return slices.Compact(points)
}

// run runs the program, to be killed at a point if there is one, and says
// whether it was. Nothing else may go wrong.
func (h *host) run(program, point string, args []string) (killed bool) {
	h.Helper()
	if args == nil {
		return false
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(h.Context(), program, args...)
	cmd.Env = append(os.Environ(), "RKT_FAULT="+point)
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return true
	}
	if err != nil {
		h.Errorf("%s: %v\n%s", strings.Join(args, " "), err, said.String())
	}
	return false
}
