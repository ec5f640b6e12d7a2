package network

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"rkt/internal/network/networktest"
	"rkt/internal/stage1"
)

// TestManyAtOnce puts twenty pods on the default network at the same time, as
// twenty programs, and takes them off again: each has an address of its own,
// and nothing is left.
func TestManyAtOnce(t *testing.T) {
	if networktest.Dir() == "" {
		t.Skip("needs root")
	}
	const pods = 20
	program := podProgram(t)
	h := needHost(t)
	each := func(args ...string) {
		var all sync.WaitGroup
		for n := range pods {
			uuid := fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
			if err := os.MkdirAll(uuid, 0o755); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), program, append([]string{"-uuid", uuid, "-plugins", h.plugins}, args...)...)
			cmd.Dir = uuid
			all.Go(func() {
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
		all.Wait()
	}
	each()
	seen := make(map[string]string)
	for n := range pods {
		uuid := fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
		b, err := os.ReadFile(filepath.Join(uuid, stage1.NetInfoFile))
		if err != nil {
			t.Fatal(err)
		}
		var infos []stage1.NetInfo
		if err := json.Unmarshal(b, &infos); err != nil || len(infos) != 1 {
			t.Fatalf("%s (%v)", b, err)
		}
		ip := infos[0].IP.String()
		if other, taken := seen[ip]; taken {
			t.Errorf("%s and %s both have %s", uuid, other, ip)
		}
		seen[ip] = uuid
		h.reaches(ip + ":1")
	}
	each("-down")
	h.clean()
}
