package systemd

import (
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

func TestEscape(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"app-a.service": "app_2da_2eservice",
		"9x":            "_39x",
		"aZ09":          "aZ09",
		"":              "",
	} {
		if got := escape(name); got != want {
			t.Errorf("escape(%q) = %q, want %q", name, got, want)
		}
	}
}

// signal is one thing that systemd announces about a service.
type signal struct {
	iface   string
	changed map[string]any
	job     string // or this: the result of a job
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestServiceFollowsSignals(t *testing.T) {
	t.Parallel()
	active := func(s string) signal { return signal{iface: unitIface, changed: map[string]any{"ActiveState": s}} }
	main := func(code, status int32, result string) signal {
		return signal{iface: serviceIface, changed: map[string]any{
			"ExecMainPID": uint32(42), "ExecMainCode": code, "ExecMainStatus": status, "Result": result,
		}}
	}
	started := []signal{active("activating"), main(0, 0, "success"), {job: "done"}, active("active")}
	for name, c := range map[string]struct {
		signals      []signal
		exited, dead bool
		want         Status
	}{
		"running":   {started, false, false, Status{Result: "success"}},
		"leftovers": {append(started, main(1, 7, "exit-code"), active("deactivating")), true, false, Status{Code: 7, Result: "exit-code"}},
		"exit":      {append(started, main(1, 7, "exit-code"), active("failed")), true, true, Status{Code: 7, Result: "exit-code"}},
		"killed":    {append(started, main(2, 9, "signal"), active("failed")), true, true, Status{Signal: 9, Result: "signal"}},
		"dumped":    {append(started, main(3, 11, "core-dump"), active("failed")), true, true, Status{Signal: 11, CoreDump: true, Result: "core-dump"}},
		"stop job":  {append(started, active("deactivating"), main(1, 0, "success"), active("inactive"), signal{job: "done"}), true, true, Status{Result: "success"}},
		// Not started yet, so not gone either.
		"not begun": {[]signal{active("inactive")}, false, false, Status{}},
		"no start":  {[]signal{active("activating"), main(1, 203, "exit-code"), active("failed"), {job: "failed"}}, true, true, Status{Code: 203, Result: "exit-code"}},
		"fast":      {[]signal{active("inactive"), main(1, 3, "exit-code"), {job: "done"}}, true, true, Status{Code: 3, Result: "exit-code"}},
	} {
		s := &Service{
			decided: make(chan struct{}), exited: make(chan struct{}), dead: make(chan struct{}),
			cleared: make(chan struct{}), handled: make(chan struct{}),
		}
		for _, sig := range c.signals {
			if sig.job != "" {
				s.decide(sig.job)
				continue
			}
			changed := map[string]dbus.Variant{}
			for k, v := range sig.changed {
				changed[k] = dbus.MakeVariant(v)
			}
			s.update(sig.iface, changed)
		}
		if closed(s.Exited()) != c.exited || closed(s.Dead()) != c.dead {
			t.Errorf("%s: exited %v, dead %v", name, closed(s.Exited()), closed(s.Dead()))
		}
		if diff := cmp.Diff(c.want, s.Status()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestStartError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		job    string
		ran    bool
		status Status
		want   string // empty if the program ran
	}{
		"a step failed":          {"failed", true, Status{Code: 226}, `systemd says "failed" at step NAMESPACE (226)`},
		"too late":               {"timeout", true, Status{Signal: 9}, `systemd says "timeout"`},
		"a program before it":    {"failed", false, Status{Result: "exit-code"}, `systemd says "failed"`},
		"ended before noticed":   {"failed", true, Status{Code: 7, Result: "exit-code"}, ""},
		"killed before noticed":  {"failed", true, Status{Signal: 11, Result: "signal"}, ""},
		"canceled before it ran": {"canceled", false, Status{}, `systemd says "canceled"`},
	} {
		got := ""
		if err := (&Service{job: c.job, ran: c.ran, status: c.status}).startError(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
