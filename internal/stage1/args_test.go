package stage1_test

import (
	"slices"
	"testing"

	"rkt/internal/stage1"
)

func runArgs(t testing.TB) stage1.RunArgs {
	t.Helper()
	net, err := stage1.ParseNetRequests("none")
	if err != nil {
		t.Fatal(err)
	}
	return stage1.RunArgs{
		Net: net, PrivateUsers: stage1.IDRange{First: 1 << 20, Count: 1 << 16}, LocalConfig: "/etc/rkt", IPC: stage1.IPCParent,
		Hostname: "host", UUID: "1",
	}
}

func TestRunArgsByVersion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version              int
		want, withoutVersion []string
	}{
		{1, []string{"--net=none", "--private-users=1048576:65536", "--local-config=/etc/rkt", "1"}, []string{"--hostname", "--ipc"}},
		{5, []string{"--net=none", "--private-users=1048576:65536", "--local-config=/etc/rkt", "--hostname=host", "1"}, []string{"--ipc"}},
		{7, []string{"--net=none", "--private-users=1048576:65536", "--local-config=/etc/rkt", "--hostname=host", "--ipc=parent", "1"}, nil},
	} {
		args, unsupported := runArgs(t).Args(c.version)
		if !slices.Equal(args, c.want) || !slices.Equal(unsupported, c.withoutVersion) {
			t.Errorf("version %d: %q without %q, want %q without %q", c.version, args, unsupported, c.want, c.withoutVersion)
		}
	}
}

// FuzzRunArgs holds that what was understood of an argument is what would be
// written.
func FuzzRunArgs(f *testing.F) {
	args, _ := runArgs(f).Args(stage1.InterfaceVersion)
	for _, arg := range append(args, "--ipc=public", "--private-users=0:1", "--private-users=1:4294967295") {
		f.Add(arg)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		parsed, err := stage1.ParseRunArgs([]string{"--net=none", arg, "uuid"})
		if err != nil {
			return
		}
		written, unsupported := parsed.Args(stage1.InterfaceVersion)
		if len(unsupported) > 0 {
			t.Fatalf("%q: %q are not supported", arg, unsupported)
		}
		again, err := stage1.ParseRunArgs(written)
		if err != nil || again.PrivateUsers != parsed.PrivateUsers || again.IPC != parsed.IPC || again.UUID != parsed.UUID {
			t.Fatalf("%q was written as %q, which is %+v, %v", arg, written, again, err)
		}
	})
}
