//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rkt/internal/guest/approot"
	"rkt/internal/guest/guestproto"
	"rkt/internal/guest/systemd"
)

func TestCapabilityMask(t *testing.T) {
	t.Parallel()
	mask, err := capabilityMask([]string{"CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"})
	if want := uint64(1 | 1<<21 | 1<<40); mask != want || err != nil {
		t.Errorf("mask = %#x, %v; want %#x", mask, err, want)
	}
	for _, name := range []string{"CHOWN", "cap_chown", "CAP_", ""} {
		if _, err := capabilityMask([]string{name}); err == nil {
			t.Errorf("%q is a capability", name)
		}
	}
}

func TestWeight(t *testing.T) {
	t.Parallel()
	for shares, want := range map[uint64]uint64{2: 1, 512: 50, 1024: 100, 2048: 200, 262144: 10000} {
		if got := weight(shares); got != want {
			t.Errorf("weight(%d) = %d, want %d", shares, got, want)
		}
	}
}

// TestCPULimit shows that the scheduler is only told of a limit that is one, except
// where the host may get more CPUs.
func TestCPULimit(t *testing.T) {
	t.Parallel()
	whole := int64(milliPerCPU * runtime.NumCPU())
	for _, test := range []struct {
		container bool
		milli     int64
		want      []any
	}{
		{false, 0, nil},
		{false, whole - 1, []any{uint64(whole-1) * 1000}},
		{false, whole, nil},
		{false, whole + 1, nil},
		{true, whole, []any{uint64(whole) * 1000}},
	} {
		u := unit{req: &guestproto.StartAppRequest{Limits: &guestproto.Limits{CpuMilli: test.milli}}, container: test.container}
		if diff := cmp.Diff(test.want, property(u.limits(), "CPUQuotaPerSecUSec")); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test, diff)
		}
	}
}

func TestValidName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"etcd": true, "a-1": true, "": false, "-a": false, "a-": false, "a--b": false, "A": false,
		"a/b": false, "..": false, "a.b": false, "a\n": false, string(make([]byte, 200)): false,
	} {
		if got := validName(name); got != want {
			t.Errorf("validName(%q) = %v", name, got)
		}
	}
}

// property returns the values that are set for a name.
func property(properties []systemd.Property, name string) (values []any) {
	for _, p := range properties {
		if p.Name == name {
			values = append(values, p.Value)
		}
	}
	return values
}

func TestConfinement(t *testing.T) {
	t.Parallel()
	confine := func(uid uint32, c *guestproto.Confinement) []systemd.Property {
		t.Helper()
		u := unit{req: &guestproto.StartAppRequest{Confinement: c}, uid: uid}
		properties, err := u.confinement()
		if err != nil {
			t.Fatal(err)
		}
		return properties
	}
	check := func(properties []systemd.Property, name string, want ...any) {
		t.Helper()
		if diff := cmp.Diff(want, property(properties, name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	open := confine(0, &guestproto.Confinement{AllCapabilities: true})
	check(open, "DevicePolicy", "closed") // whatever else is lifted
	check(open, "NoNewPrivileges", false)
	check(open, "CapabilityBoundingSet")
	check(open, "SystemCallFilter")

	nothing := confine(0, nil)
	check(nothing, "CapabilityBoundingSet", uint64(0))

	list := &guestproto.SyscallFilter{Allow: true, Names: []string{"read"}, Errno: 13}
	root := confine(0, &guestproto.Confinement{Syscalls: list, Capabilities: []string{"CAP_KILL"}})
	check(root, "NoNewPrivileges", false)
	check(root, "CapabilityBoundingSet", uint64(1<<5))
	check(root, "SystemCallFilter", syscallFilter{true, []string{"read"}})
	check(root, "SystemCallErrorNumber", int32(13))
	user := confine(33, &guestproto.Confinement{Syscalls: list})
	check(user, "NoNewPrivileges", true)
}

func TestHandlers(t *testing.T) {
	t.Parallel()
	u := unit{preStart: "/bin/before", req: &guestproto.StartAppRequest{
		PreStart: &guestproto.EventHandler{Exec: []string{"before", "$x"}},
	}}
	want := []any{[]execCommand{{"/bin/before", []string{"/bin/before", "$x"}, []string{"no-setuid", "no-env-expand"}}}}
	if diff := cmp.Diff(want, property(u.handlers(), "ExecStartPreEx")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := property(u.handlers(), "ExecStopPostEx"); got != nil {
		t.Errorf("afterwards: %v", got)
	}
}

func TestUnwantedVariables(t *testing.T) {
	t.Parallel()
	u := unit{req: &guestproto.StartAppRequest{Environment: []*guestproto.Variable{
		{Name: "PATH", Value: "/a"}, {Name: "TERM", Value: "x"}, {Name: "PATH", Value: "/b"},
	}}}
	unwanted := u.unwanted()
	if slices.Contains(unwanted, "PATH") || slices.Contains(unwanted, "TERM") || !slices.Contains(unwanted, "INVOCATION_ID") {
		t.Errorf("unwanted = %v", unwanted)
	}
	if path, ok := u.variable("PATH"); path != "/b" || !ok {
		t.Errorf("PATH = %q, %v", path, ok)
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for want, err := range map[guestproto.StartFailure_Kind]error{
		guestproto.StartFailure_KIND_USER:       fmt.Errorf("x: %w", approot.ErrUser),
		guestproto.StartFailure_KIND_GROUP:      approot.ErrGroup,
		guestproto.StartFailure_KIND_EMPTY_EXEC: errEmptyExec,
		guestproto.StartFailure_KIND_NO_BINARY:  errors.Join(approot.ErrBinary, errors.New("and more")),
		guestproto.StartFailure_KIND_DISK:       approot.ErrImage,
		guestproto.StartFailure_KIND_SETUP:      &systemd.StartError{Result: "failed", Step: "USER"},
	} {
		if got := classify(err); got != want {
			t.Errorf("%v is %v, want %v", err, got, want)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	e := newEvents()
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if got := e.after(done, 0); got != nil {
		t.Errorf("events of nothing: %v", got)
	}
	first, second := &guestproto.Exit{App: "first"}, &guestproto.Exit{App: "second"}
	time.AfterFunc(10*time.Millisecond, func() { e.add(first) })
	if got := e.after(t.Context(), 0); len(got) != 1 || got[0] != first {
		t.Errorf("after 0: %v", got)
	}
	e.add(second)
	if got := e.after(t.Context(), 0); len(got) != 2 || got[1] != second {
		t.Errorf("after 0 again: %v", got)
	}
	if got := e.after(t.Context(), 1); len(got) != 1 || got[0] != second {
		t.Errorf("after 1: %v", got)
	}
	if got := e.after(done, 1000); got != nil {
		t.Errorf("after more than there are: %v", got)
	}
}
