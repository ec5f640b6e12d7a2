package supervisor

import (
	"os"
	"testing"
)

// TestOnlyThePodsGroupIsKilled holds that gc and stop never act on a group
// which isn't named after the pod: its processes would be killed.
func TestOnlyThePodsGroupIsKilled(t *testing.T) {
	const uuid = "11111111-1111-4111-8111-111111111111"
	tests := []struct {
		name, recorded string
		dirs           int
		ok             bool
	}{
		{"none", "", 0, true},
		{"own", "/sys/fs/cgroup/rkt-" + uuid + "\n", 1, true},
		{"both hierarchies", "/a/rkt-" + uuid + "\n/b/rkt-" + uuid + "\n", 2, true},
		{"scope", "/a/machine.slice/rkt-" + uuid + ".scope\n", 1, true},
		{"root", "/sys/fs/cgroup/memory\n", 0, false},
		{"another pod's", "/a/rkt/22222222-1111-4111-8111-111111111111\n", 0, false},
		{"own beside root", "/a/rkt-" + uuid + "\n/sys/fs/cgroup\n", 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.WriteFile(cgroupFile, []byte(test.recorded), 0o600); err != nil {
				t.Fatal(err)
			}
			group, err := recordedCgroup(uuid)
			if (err == nil) != test.ok || len(group) != test.dirs {
				t.Errorf("recordedCgroup = %v, %v", group, err)
			}
		})
	}
}
