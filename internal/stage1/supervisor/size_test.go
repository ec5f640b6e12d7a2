package supervisor

import (
	"testing"

	"rkt/internal/appc"
)

// app returns an app with the given limits, "" for none.
func app(t *testing.T, cpu, memory string) appc.RuntimeApp {
	t.Helper()
	a := &appc.App{}
	if cpu != "" {
		a.Isolators = append(a.Isolators, appc.CPUIsolator(quantity(t, cpu)))
	}
	if memory != "" {
		a.Isolators = append(a.Isolators, appc.MemoryIsolator(quantity(t, memory)))
	}
	return appc.RuntimeApp{App: a}
}

func quantity(t *testing.T, s string) appc.Quantity {
	t.Helper()
	q, err := appc.ParseQuantity(s)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestCPUs(t *testing.T) {
	t.Parallel()
	const host = 8
	tests := []struct {
		name   string
		limits []string
		want   int
	}{
		{"no limit", []string{""}, 8},
		{"half a core is one", []string{"500m"}, 1},
		{"one", []string{"1"}, 1},
		{"a bit more is two", []string{"1001m"}, 2},
		{"rounded for each app", []string{"500m", "500m"}, 2},
		{"one app without", []string{"1", ""}, 8},
		{"more than the host", []string{"6", "6"}, 8},
		{"far more than the host", []string{"9000000000"}, 8},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var apps []appc.RuntimeApp
			for _, limit := range test.limits {
				apps = append(apps, app(t, limit, ""))
			}
			if got := cpus(apps, host); got != test.want {
				t.Errorf("cpus = %d, want %d", got, test.want)
			}
		})
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		limits []string
		want   int64 // MiB
	}{
		{"one app without a limit", []string{""}, 256},
		{"one app with a limit", []string{"64Mi"}, 192},
		{"both", []string{"64Mi", ""}, 320},
		{"rounded up to MiB", []string{"50M"}, 128 + 48},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var apps []appc.RuntimeApp
			for _, limit := range test.limits {
				apps = append(apps, app(t, "", limit))
			}
			if got := memory(apps); got != test.want*mebibyte {
				t.Errorf("memory = %d, want %d MiB", got, test.want)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	a := appc.RuntimeApp{Name: "etcd", App: &appc.App{}}
	a.App.Environment.Set("HOME", "/home/etcd")
	a.App.Environment.Set("AC_APP_NAME", "somebody else")
	got := make(map[string]string)
	for _, v := range environment(a, "") {
		if _, twice := got[v.Name]; twice {
			t.Errorf("%s is set twice", v.Name)
		}
		got[v.Name] = v.Value
	}
	for name, want := range map[string]string{
		"HOME": "/home/etcd", "AC_APP_NAME": "etcd", "USER": "root", "SHELL": "/bin/sh",
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	} {
		if got[name] != want {
			t.Errorf("%s=%q, want %q", name, got[name], want)
		}
	}
}
