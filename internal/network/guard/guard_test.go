package guard

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"rkt/internal/network/networktest"
)

func TestMain(m *testing.M) { os.Exit(networktest.Run(m.Run)) }

// TestBackends shows that each can be called again at any time and leaves
// nothing.
func TestBackends(t *testing.T) {
	if networktest.Dir() == "" {
		t.Skip("needs root")
	}
	for program, b := range map[string]backend{"iptables": iptables{}, "nft": nftables{}} {
		t.Run(program, func(t *testing.T) {
			if !has(program) {
				t.Skipf("needs %s", program)
			}
			sources := []netip.Addr{netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("fd00::3")}
			services := []netip.AddrPort{netip.MustParseAddrPort("10.1.2.1:18112")}
			chain := chainName("pod", "default", "eth0")
			release := func() {
				if err := b.release(chain); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if err := b.protect(chain, pod{[]string{"veth1", "veth2"}, sources, services}); err != nil {
					t.Fatal(err)
				}
				if there, err := b.protects(chain); !there || err != nil {
					t.Errorf("there are no rules (%v)", err)
				}
			}
			for range 2 {
				release()
			}
			if there, err := b.protects(chain); there || err != nil {
				t.Errorf("there are rules (%v)", err)
			}
			if rules, err := run(nil, "nft", "list", "ruleset"); err == nil && strings.Contains(rules, chain) {
				t.Errorf("left:\n%s", rules)
			}
		})
	}
}
